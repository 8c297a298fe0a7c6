#!/usr/bin/env bash
# tools/coverage.sh FOLDER - after the tests ran in a coverage build: lines and branches reached, a row a room and a row a file of proto,
# and a browsable report in FOLDER/html.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$1
# An assertion that holds never takes its other branch; it is not a case that a test could reach.
rc=(--rc lcov_branch_coverage=1 --rc "lcov_excl_br_line=LCOV_EXCL_BR_LINE|assert\(")
capture=(lcov --quiet "${rc[@]}" --capture --directory "$folder/obj/engine" --base-directory . --no-external)
# The first knows the files that no test ran at all.
"${capture[@]}" --initial --output-file "$folder/none.info"
"${capture[@]}" --output-file "$folder/run.info"
lcov --quiet "${rc[@]}" -a "$folder/none.info" -a "$folder/run.info" --output-file "$folder/all.info"
genhtml --quiet "${rc[@]}" --branch-coverage --output-directory "$folder/html" "$folder/all.info"

# The records of an .info file: SF:file, DA:line,times, BRDA:line,block,branch,times. A header has them once for each file that
# includes it; reached by any is reached. Rooms first, then files.
awk -F '[:,]' '
    function found(kind, key, times) {
        key = kind " " file " " key
        if (!(key in seen)) { seen[key]; add(kind) }
        if (times > 0 && !(key in reached)) { reached[key]; add(kind "+") }
    }
    function add(what) { count["engine", what]++; count[room, what]++; count[file, what]++ }
    function percent(hit, all) { return all ? sprintf("%5.1f %%", 100 * hit / all) : "      -" }
    /^SF:/ { file = $2; sub(/.*\/engine\//, "engine/", file); room = file; sub(/\/[^\/]*$/, "/", room); keys["engine"]; keys[room]; keys[file] }
    /^DA:/ { found("line", $2, $3) }
    /^BRDA:/ { found("branch", $2 " " $3 " " $4, $5) }
    END {
        for (k in keys)
            printf "%d %-34s %6d lines %s  %6d branches %s\n", k ~ /[.][ch]/, k, count[k, "line"], percent(count[k, "line+"], count[k, "line"]),
                count[k, "branch"], percent(count[k, "branch+"], count[k, "branch"])
    }' "$folder/all.info" | sort | cut -d' ' -f2-
echo "report: $folder/html/index.html"
