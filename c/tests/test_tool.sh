#!/bin/sh
# test_tool.sh VRCNN_FILTER REFUSE_MEMORY.so: what signals and a system without memory do to the tool.
set -u
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
tool=$1
failures=0

fail() {
    echo "test_tool.sh: $1"
    failures=$((failures + 1))
}

# Whatever else happened: no output, whole or half.
expect_nothing() {
    [ -z "$(find "$folder" -name 'out*')" ] || fail "$1: left $(find "$folder" -name 'out*')"
    rm -f "$folder"/out*
}

# Waits for the temporary file; the slow kernel has work for many seconds then.
start() {
    "$tool" --size 416x240 --format 400 --qp 32 --kernel scalar "$folder/$1" "$folder/out" 2>"$folder/error" &
    child=$!
    while [ -z "$(find "$folder" -name 'out.*')" ] && kill -0 $child 2>/dev/null; do sleep 0.01; done
}

# 416x240 luma samples: 100 pictures, and 4.
head -c 9984000 /dev/zero >"$folder/long"
head -c 399360 /dev/zero >"$folder/short"

# Not SIGINT: shells have it ignored in what they start in the background, and the tool keeps to that.
# Nor SIGHUP where it is ignored already, as under nohup.
signals='15 1'
case $(sed -n 's/^SigIgn:.*\(.\)$/\1/p' /proc/self/status 2>/dev/null) in
[13579bdf])
    signals=15
    echo "SIGHUP is ignored here: not tested that it ends the tool"
    ;;
esac
for number in $signals; do
    start long
    kill -$number $child
    wait $child
    status=$?
    [ $status -eq $((128 + number)) ] || fail "signal $number: exit code $status"
    expect_nothing "signal $number"
done

trap '' HUP
start short
kill -HUP $child
wait $child || fail "ignored SIGHUP: exit code $?"
[ "$(wc -c <"$folder/out")" -eq 399360 ] || fail "ignored SIGHUP: no output"
rm -f "$folder/out"
trap - HUP

head -c 64 /dev/zero >"$folder/tiny"
granted=0
while [ $granted -lt 200 ]; do
    if REFUSE_AFTER=$granted LD_PRELOAD=$2 "$tool" --size 8x8 --format 400 --qp 32 --threads 2 "$folder/tiny" "$folder/out" 2>"$folder/error"; then
        break
    else
        status=$?
    fi
    [ $status -eq 1 ] && [ "$(wc -l <"$folder/error")" -eq 1 ] && grep -q '^vrcnn_filter: ' "$folder/error" ||
        fail "$granted allocations: exit code $status, $(cat "$folder/error")"
    expect_nothing "$granted allocations"
    granted=$((granted + 1))
done
[ $granted -ge 5 ] && [ $granted -lt 200 ] || fail "works with $granted allocations"
[ "$(wc -c <"$folder/out")" -eq 64 ] || fail "no output with $granted allocations"

# Never over an input, by whatever name; links are followed.
filter() { "$tool" --size 8x8 --format 400 --qp 32 "$@" 2>"$folder/error"; }
rm -f "$folder"/out*
ln -s tiny "$folder/link"
ln "$folder/tiny" "$folder/hard"
for output in tiny ./tiny link hard; do
    filter "$folder/tiny" "$folder/$output" && fail "$output: written over the input"
    grep -q 'is an input' "$folder/error" || fail "$output: $(cat "$folder/error")"
done
[ "$(cksum <"$folder/tiny")" = "$(head -c 64 /dev/zero | cksum)" ] || fail "the input is another one"
echo old >"$folder/out"
ln -s out "$folder/out.link"
filter "$folder/tiny" "$folder/out.link" || fail "a link: $(cat "$folder/error")"
[ -L "$folder/out.link" ] && [ "$(wc -c <"$folder/out")" -eq 64 ] || fail "a link was not followed"
ln -s nowhere "$folder/out.dangling"
filter "$folder/tiny" "$folder/out.dangling" && fail "a link to nowhere was taken"

[ $failures -eq 0 ] && echo "signals and $granted refused allocations: as they should be"
exit $((failures > 0))
