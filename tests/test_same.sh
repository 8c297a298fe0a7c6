#!/usr/bin/env bash
# The same scripts of connections (tests/lib/same.h) on the real kernel and on the simulated one: every event of every end, and all
# that a close record says, have to be the same. $1: the build folder.
set -u
rounds=8 # one for each set of features that a ring may have to do without
real=$(mktemp) && fake=$(mktemp) || exit 1
trap 'rm -f "$real" "$fake"' EXIT
"$1/tests/test_same" $rounds >"$real" && "$1/tests/sim_same" $rounds >"$fake" || echo "not ok - a program failed"
if [ -s "$real" ] && diff -u --label 'real kernel' --label 'simulated kernel' "$real" "$fake"; then
    echo "ok - $(grep -c ', round ' "$real") transcripts are the same, $(wc -l <"$real") lines"
else
    echo "not ok - the kernels differ, as shown"
fi
