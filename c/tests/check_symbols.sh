#!/bin/sh
# check_symbols.sh SHARED STATIC [HEADERS]: the shared library exports exactly what the headers declare, every global name in the static one
# begins with vrcnn_, and neither has data that can change. STATIC may be empty.
# Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause
set -eu
dir=$(dirname "$0")
# What sanitizers add is not ours.
exported=$(nm -D --defined-only "$1" | awk '$3 !~ /^__(asan|ubsan|odr|sanitizer)|@|^_(init|fini)$/ { print $3 }' | LC_ALL=C sort)
headers=${3:-vrcnn.h vrcnn_codec.h}
declared=$(cd "$dir/../include/vrcnn" && sed -n 's/^VRCNN_API .*[ *]\(vrcnn_[a-z0-9_]*\)(.*/\1/p' $headers | LC_ALL=C sort)
[ -n "$declared" ] || { echo "check_symbols: no declarations found in $headers" >&2; exit 1; }
if [ "$exported" != "$declared" ]; then
    echo "check_symbols: $1 exports something else than $headers declare:" >&2
    printf 'exported:\n%s\ndeclared:\n%s\n' "$exported" "$declared" >&2
    exit 1
fi
[ -n "$2" ] || exit 0
foreign=$(nm -g --defined-only "$2" | awk 'NF == 3 && $3 !~ /^(vrcnn_|__asan|__odr_asan)/ { print $3 }')
[ -z "$foreign" ] || { echo "check_symbols: $2 defines names without the prefix: $foreign" >&2; exit 1; }
case $(nm "$2") in
*__asan*) ;;
*)
    mutable=$(nm --defined-only "$2" | awk 'NF == 3 && $2 ~ /^[bBcCdDsSgG]$/ && $3 !~ /^(\.|DW\.ref|CSWTCH|switch\.table)/ { print $3 }')
    [ -z "$mutable" ] || { echo "check_symbols: $2 has mutable data: $mutable" >&2; exit 1; }
    ;;
esac
echo "symbols: $(echo "$declared" | wc -l | tr -d ' ') exported, all declared"
