#!/bin/sh
# run.sh PROGRAM CORPUS NEW_CORPUS SECONDS: fuzzes for so much CPU time and prints one line; what makes the program stop is left in NEW_CORPUS.
set -u
name=$(basename "$1")
log=$3.log
mkdir -p "$3"
(
    ulimit -S -t "$4"
    exec "$1" -max_len=8192 -print_final_stats=1 -artifact_prefix="$3/found-" "$3" "$2"
) >"$log" 2>&1
status=$?
# 72: interrupted, which is how the CPU limit ends it.
if [ $status -ne 72 ]; then
    tail -n 40 "$log"
    echo "$name: stopped with $status; the input is in $3, the whole output in $log"
    exit 1
fi
awk -v name="$name" -v seconds="$4" '
    { for (i = 1; i < NF; i++) { if ($i == "cov:") edges = $(i + 1); if ($i == "corp:") inputs = $(i + 1) } }
    /number_of_executed_units/ { executions = $2 }
    END { sub("/.*", "", inputs)
          printf "%s: at most %s s of CPU time, %s executions, %s edges covered by %s inputs\n", name, seconds, executions, edges, inputs }' "$log"
