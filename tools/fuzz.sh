#!/usr/bin/env bash
# tools/fuzz.sh FOLDER SECONDS - runs every fuzzer in FOLDER for SECONDS each, one after another, and stops at nothing: the closing
# table has a line a fuzzer, and the exit code is 1 if any of them found something.
#
# Seeds are tests/fuzz/corpus/NAME, a dictionary is tests/fuzz/NAME.dict, for fuzz_NAME.c; what a run discovers stays in
# FOLDER/corpus/NAME (and is used again), findings in FOLDER/findings.
set -uo pipefail
folder=$1
seconds=$2
found=0
table=()
mkdir -p "$folder/findings" "$folder/logs"

fuzzers=()
for fuzzer in "$folder"/fuzz_*; do [ -f "$fuzzer" ] && [ -x "$fuzzer" ] && fuzzers+=("$fuzzer"); done
if [ ${#fuzzers[@]} -eq 0 ]; then
    echo "fuzz: no fuzzer in $folder" >&2
    exit 1
fi

for fuzzer in "${fuzzers[@]}"; do
    name=${fuzzer##*/fuzz_}
    log=$folder/logs/$name.log
    mkdir -p "$folder/corpus/$name"
    options=(-max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 -artifact_prefix="$folder/findings/$name-")
    [ -f "tests/fuzz/$name.dict" ] && options+=(-dict="tests/fuzz/$name.dict")
    corpora=("$folder/corpus/$name")
    [ -d "tests/fuzz/corpus/$name" ] && corpora+=("tests/fuzz/corpus/$name")
    # A fuzzer may need longer inputs than libFuzzer's 4096 bytes: its own -max_len, one line in tests/fuzz/NAME.options.
    # shellcheck disable=SC2207 # options are words
    [ -f "tests/fuzz/$name.options" ] && options+=($(cat "tests/fuzz/$name.options"))

    if "$fuzzer" "${options[@]}" "${corpora[@]}" >"$log" 2>&1; then
        state=ok
    else
        state=FOUND
        found=1
        tail -n 40 "$log"
    fi
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    edges=$(grep -o 'cov: [0-9]*' "$log" | tail -n 1 | cut -d' ' -f2)
    table+=("$(printf '%-22s %12s executions %7s edges  %s' "$name" "${runs:--}" "${edges:--}" "$state")")
    echo "${table[-1]}"
done

if [ ${#fuzzers[@]} -gt 1 ]; then
    echo
    printf '%s\n' "${table[@]}"
fi
exit $found
