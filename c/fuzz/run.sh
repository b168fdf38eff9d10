#!/bin/sh
# run.sh NAME CORPUS NEW_CORPUS SECONDS PROGRAM...: runs a fuzzer for so much CPU time and prints what it did, and what all its runs together
# did; what makes the program stop is left in NEW_CORPUS. Each run is a line of NEW_CORPUS.runs: revision, CPU seconds of all its threads,
# executions, edges, inputs.
set -u
name=$1 corpus=$2 new=$3 seconds=$4
shift 4
log=$new.log
runs=$new.runs
mkdir -p "$new"
# An interrupted run counts with the time that it had.
stopped=
trap 'stopped=yes' INT TERM
(
    trap - INT TERM
    ulimit -S -t "$seconds"
    exec "$@" -max_len=8192 -print_final_stats=1 -artifact_prefix="$new/found-" "$new" "$corpus"
) >"$log" 2>&1
status=$?
times >"$log.times"
# 72: interrupted, which is also how the CPU limit ends it.
if [ $status -ne 72 ]; then
    tail -n 40 "$log"
    echo "$name: stopped with $status; the input is in $new, the whole output in $log"
    exit 1
fi
# '+': with changes. Without git: unknown.
revision=$(git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
[ -z "$(git status --porcelain 2>/dev/null)" ] || revision=$revision+
awk -v revision="$revision" '
    FILENAME ~ /\.times$/ {
        if (FNR == 2) # what the children used: user, system
            for (i = 1; i <= 2; i++) { split($i, part, /[ms]/); cpu += 60 * part[1] + part[2] }
        next
    }
    { for (i = 1; i < NF; i++) { if ($i == "cov:") edges = $(i + 1); if ($i == "corp:") inputs = $(i + 1) } }
    /number_of_executed_units/ { executions = $2 }
    END { sub("/.*", "", inputs); printf "%s\t%.1f\t%d\t%d\t%d\n", revision, cpu, executions, edges, inputs }' "$log.times" "$log" >>"$runs"
rm -f "$log.times"
awk -F '\t' -v name="$name" '
    { cpu += $2; executions += $3; if (!($1 in part)) order[++count] = $1; part[$1] += $2; last = $0 }
    END {
        split(last, run, FS)
        printf "%s: %.1f s of CPU time, %d executions, %d edges covered by %d inputs\n", name, run[2], run[3], run[4], run[5]
        printf "%s, all runs: %.1f CPU-minutes, %d executions; by revision:", name, cpu / 60, executions
        for (i = 1; i <= count; i++) printf "%s %s %.1f min", (i > 1 ? "," : ""), order[i], part[order[i]] / 60
        printf "\n"
    }' "$runs"
[ -z "$stopped" ] || exit 130
