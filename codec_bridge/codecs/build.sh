#!/bin/sh
# Build x265 (8 and 10 bits) and libde265 with the filter inside. `make codecs` runs this; variables:
#   OUT              folder for everything (build/codecs); programs end up in OUT/bin
#   X265_SOURCE, LIBDE265_SOURCE   source trees to use instead of Debian's source packages; they are copied, not changed
#   DEBIAN_MIRROR    where the source packages come from (http://deb.debian.org/debian)
#   CODEC_BRIDGE     the codec-bridge program; JOBS: compilers at once
#   CACHE            none; a folder: programs that were built from the same sources with the same tools are taken from there
# Exit code 3: something to build with is not there (a tool, apt, the network); the last line of the standard error says what.
# Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause
set -eu
cd "$(dirname "$0")/../.."
OUT=${OUT:-build/codecs}
DEBIAN_MIRROR=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
CODEC_BRIDGE=${CODEC_BRIDGE:-.venv/bin/codec-bridge}
# As many as this process may use: nproc respects its affinity.
JOBS=${JOBS:-$(nproc 2>/dev/null || getconf _NPROCESSORS_ONLN)}
KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg

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

if [ -z "${X265_SOURCE:-}" ] || [ -z "${LIBDE265_SOURCE:-}" ]; then
    if ! command -v apt-get >/dev/null || ! command -v dpkg-source >/dev/null || [ ! -f $KEYRING ]; then
        lacks "Debian's source packages need apt-get, dpkg-source (dpkg-dev) and $KEYRING;" \
            "elsewhere give source trees: make codecs X265_SOURCE=folder of x265 3.5 LIBDE265_SOURCE=folder of libde265 1.0.11"
    fi
    # A source list and state of its own: the system's are neither read nor changed.
    apt=$OUT/apt
    mkdir -p "$apt/preferences.d" "$apt/state/lists/partial" "$apt/cache/archives/partial" "$OUT/packages"
    echo "deb-src [signed-by=$KEYRING] $DEBIAN_MIRROR bookworm main" >"$apt/sources.list"
    set -- -o Dir::Etc::SourceList="$apt/sources.list" -o Dir::Etc::SourceParts=/dev/null -o Dir::Etc::Preferences=/dev/null \
        -o Dir::Etc::PreferencesParts="$apt/preferences.d" -o Dir::State="$apt/state" -o Dir::Cache="$apt/cache" -o APT::Sandbox::User= \
        -o Acquire::Languages=none
    rm -rf "$OUT/packages"
    mkdir "$OUT/packages"
    echo "source packages of x265 and libde265 from $DEBIAN_MIRROR"
    otherwise=lacks
    quietly "$OUT/apt.log" apt-get "$@" --error-on=any update
    cd "$OUT/packages"
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
