#!/bin/sh
# Build x265 (8 and 10 bits) and libde265 with the filter inside. `make codecs` runs this; variables:
#   OUT              folder for everything (build/codecs); programs end up in OUT/bin
#   X265_SOURCE, LIBDE265_SOURCE   source trees to use instead of the distribution's source packages; they are copied, not changed
#   MIRROR           where the source packages come from instead of the archives that this system's own packages do
#   CODEC_BRIDGE     the codec-bridge program; JOBS: compilers at once
#   CACHE            none; a folder: programs that were built from the same sources with the same tools are taken from there
# Exit code 3: something to build with is not there (a tool, apt, the network); the last line of the standard error says what.
# Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause
set -eu
cd "$(dirname "$0")/../.."
OUT=${OUT:-build/codecs}
CODEC_BRIDGE=${CODEC_BRIDGE:-.venv/bin/codec-bridge}
# As many as this process may use: nproc respects its affinity.
JOBS=${JOBS:-$(nproc 2>/dev/null || getconf _NPROCESSORS_ONLN)}

fail() {
    echo "make codecs: $*" >&2
    exit 1
}

lacks() {
    echo "make codecs: $*" >&2
    exit 3
}

otherwise=fail
# quietly LOG COMMAND...: the output goes to a file, and its end is shown if the command fails.
quietly() {
    log=$1
    shift
    "$@" >"$log" 2>&1 || { tail -n 20 "$log" >&2; $otherwise "$1 failed; all of its output is in $log"; }
}

for tool in cmake c++ make; do
    command -v $tool >/dev/null || lacks "there is no $tool; on Debian: apt-get install cmake g++ make (nasm makes x265 faster)"
done
command -v nasm >/dev/null || echo "there is no nasm: x265 is built without its assembly code, and slower"
mkdir -p "$OUT/bin"
OUT=$(cd "$OUT" && pwd)

# source_lists SUITE FILE FOLDER OUT: of apt's sources, in either format, those of the suite itself (components main and
# Ubuntu's universe), for source packages.
source_lists() {
    for file in "$2" "$3"/*.list; do
        [ ! -f "$file" ] || awk -v suite="$1" '
            {
                gsub(/[ \t\r]+/, " ")
                # Options may have a # in them.
                options = match($0, /^ ?deb(-src)? ?\[[^]]*\]/) ? substr($0, 1, RLENGTH) : ""
                rest = substr($0, length(options) + 1)
                sub(/#.*/, "", rest)
                if (options == "" && !sub(/^ ?deb(-src)? /, "", rest)) next
                sub(/^[^[]*/, "", options); sub(/^ /, "", rest); sub(/ $/, "", rest)
                split(rest, word, " ")
                if (word[1] !~ /^cdrom:/ && word[2] == suite && (rest " ") ~ / (main|universe) /)
                    print "deb-src " options (options == "" ? "" : " ") rest
            }' "$file"
    done | sort -u >"$4/own.list"
    for file in "$3"/*.sources; do
        [ ! -f "$file" ] || awk -v suite="$1" '
            function end() { if (usable && main && !off) printf "Types: deb-src\nSuites: %s\n%s\n", suite, text; text = ""; usable = main = off = 0 }
            { sub(/\r$/, "") }
            /^#/ { next }
            /^[ \t]*$/ { end(); next }
            { value = $0 }
            /^[^ \t]/ { field = tolower(substr($0, 1, index($0, ":") - 1)); value = substr($0, index($0, ":") + 1) }
            { count = split(tolower(value), word) }
            field == "types" || field == "architectures" { next }
            field == "suites" { for (i = 1; i <= count; i++) if (word[i] == tolower(suite)) usable = 1; next }
            field == "components" { for (i = 1; i <= count; i++) if (word[i] ~ /^(main|universe)$/) main = 1 }
            field == "enabled" { if (word[1] ~ /^(no|false|without|off|disable|0)$/) off = 1; next }
            { text = text $0 "\n" }
            END { end() }' "$file"
    done >"$4/own.sources"
    for file in "$4"/own.*; do [ -s "$file" ] || rm "$file"; done
}

# foreign_left_out LISTS ID: of archives that apt has the lists of, those of the distribution stay, if there are any: others name their suite
# and component main like it, too, have newer packages of the same name, or no source packages.
foreign_left_out() {
    own=
    for release in "$1"/*Release; do ! grep -qix "Origin: *$2" "$release" 2>/dev/null || own=1; done
    [ -n "$own" ] || return 1
    for release in "$1"/*Release; do
        grep -qix "Origin: *$2" "$release" || { prefix=${release%Release} && rm -f "${prefix%In}"*; }
    done
}

if [ -z "${X265_SOURCE:-}" ] || [ -z "${LIBDE265_SOURCE:-}" ]; then
    advice="give source trees: make codecs X265_SOURCE=folder of x265 3.5 LIBDE265_SOURCE=folder of libde265 1.0.11"
    for tool in apt-get apt-config dpkg-source; do
        command -v $tool >/dev/null || lacks "source packages of Debian or Ubuntu need $tool (apt and dpkg-dev); elsewhere $advice"
    done
    [ -f /etc/os-release ] || lacks "there is no /etc/os-release; $advice"
    # shellcheck disable=SC1091
    suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-}") id=$(. /etc/os-release && echo "${ID:-}")
    [ "$id" = ubuntu ] && components=universe || components=
    # A source list and state of its own: the system's are read, and not changed.
    apt=$OUT/apt
    rm -rf "$apt/lists"
    mkdir -p "$apt/lists" "$apt/preferences.d" "$apt/state/lists/partial" "$apt/cache/archives/partial" "$OUT/packages"
    list='' parts=''
    eval "$(apt-config shell list Dir::Etc::SourceList/f parts Dir::Etc::SourceParts/d)"
    if [ -n "${MIRROR:-}" ]; then
        echo "deb-src $MIRROR $suite main $components" >"$apt/lists/own.list"
    else
        source_lists "$suite" "$list" "$parts" "$apt/lists"
    fi
    [ -n "$(ls "$apt/lists")" ] || lacks "no archive of ${suite:-this system} stands in $list or $parts; give MIRROR=URL of one, or $advice"
    set -- -o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts="$apt/lists" -o Dir::Etc::Preferences=/dev/null \
        -o Dir::Etc::PreferencesParts="$apt/preferences.d" -o Dir::State="$apt/state" -o Dir::Cache="$apt/cache" -o APT::Sandbox::User= \
        -o Acquire::Languages=none
    rm -rf "$OUT/packages"
    mkdir "$OUT/packages"
    echo "source packages of x265 and libde265 of $suite${MIRROR:+ from $MIRROR}"
    otherwise=lacks
    status=0
    apt-get "$@" --error-on=any update >"$OUT/apt.log" 2>&1 || status=$?
    # Where the distribution's own lists came, it does not matter that another archive's did not.
    if ! foreign_left_out "$apt/state/lists" "$id" && [ "$status" != 0 ]; then
        tail -n 20 "$OUT/apt.log" >&2
        lacks "apt-get failed; all of its output is in $OUT/apt.log"
    fi
    cd "$OUT/packages"
    [ "$status" = 0 ] || tail -n 5 "$OUT/apt.log" >&2
    quietly "$OUT/apt-source.log" apt-get "$@" source --only-source x265 libde265
    cd "$OLDPWD"
    otherwise=fail
    X265_SOURCE=${X265_SOURCE:-$(echo "$OUT"/packages/x265-*/)}
    LIBDE265_SOURCE=${LIBDE265_SOURCE:-$(echo "$OUT"/packages/libde265-*/)}
fi

# Everything that the programs depend on, as one name.
fingerprint() {
    {
        for tree in "$X265_SOURCE" "$LIBDE265_SOURCE"; do
            (cd "$tree" && find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum)
        done
        find c/src c/include c/Makefile c/kernel_flags.txt vrcnn_int/models/*.vrcnn codec_bridge/codecs/build.sh codec_bridge/codecs/insertion.py \
            codec_bridge/codecs/x265/adapter codec_bridge/codecs/x265/places.py codec_bridge/codecs/libde265/adapter codec_bridge/codecs/libde265/places.py \
            -type f -print0 |
            LC_ALL=C sort -z | xargs -0 sha256sum
        for tool in "${CC:-cc}" "${CXX:-c++}" cmake nasm; do "$tool" --version 2>&1 || true; done
        echo "$(uname -m) ${CFLAGS:-} ${CXXFLAGS:-} ${LDFLAGS:-}"
    } | sha256sum | cut -c 1-32
}

programs="x265 x265-10bit dec265"
kept=
if [ -n "${CACHE:-}" ]; then
    kept=$CACHE/codecs-$(fingerprint)
    # Programs that cannot start here were built on another system.
    if "$kept/x265" --version >/dev/null 2>&1 && "$kept/x265-10bit" --version >/dev/null 2>&1 && [ -x "$kept/dec265" ]; then
        for name in $programs; do cp "$kept/$name" "$OUT/bin/$name"; done
        echo "took $programs from $kept"
        exit 0
    fi
fi

# make cannot name targets with blanks in them: then the library is built in c/.
case $OUT in *[[:space:]]*) library=build/codecs ;; *) library=$OUT/vrcnn ;; esac
quietly "$OUT/vrcnn.log" make -C c BUILD="$library" PREFIX="$OUT/prefix" install
for codec in x265 libde265; do
    [ $codec = x265 ] && source=$X265_SOURCE || source=$LIBDE265_SOURCE
    rm -rf "${OUT:?}/$codec"
    cp -R "${source%/}" "$OUT/$codec"
    echo "$codec: $source"
    quietly "$OUT/$codec-install.log" "$CODEC_BRIDGE" $codec install --source "$OUT/$codec" --vrcnn "$OUT/prefix"
done

# build NAME SOURCE TARGET PROGRAM OPTIONS...
build() {
    name=$1 source=$2 target=$3 program=$4
    shift 4
    echo "building $name"
    quietly "$OUT/$name.log" cmake -Wno-dev -S "$source" -B "$OUT/$name-build" -DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_FLAGS=-w "$@"
    quietly "$OUT/$name.log" cmake --build "$OUT/$name-build" --target "$target" -j "$JOBS"
    cp "$OUT/$name-build/$program" "$OUT/bin/$name"
}
build dec265 "$OUT/libde265" dec265 dec265/dec265 -DBUILD_SHARED_LIBS=OFF -DENABLE_SDL=OFF
build x265 "$OUT/x265/source" cli x265 -DENABLE_SHARED=OFF
build x265-10bit "$OUT/x265/source" cli x265 -DENABLE_SHARED=OFF -DHIGH_BIT_DEPTH=ON
if [ -n "$kept" ]; then
    mkdir -p "$CACHE/new.$$"
    for name in $programs; do cp "$OUT/bin/$name" "$CACHE/new.$$/$name"; done
    rm -rf "$CACHE"/codecs-*
    mv "$CACHE/new.$$" "$kept"
fi
echo "built $OUT/bin: x265 and x265-10bit (under the GPL, version 2 or later), dec265 (MIT, with libde265 under the LGPL, version 3 or later)"
echo "next: $CODEC_BRIDGE check --codec x265-loop --configuration ra --codecs '$OUT/bin'"
