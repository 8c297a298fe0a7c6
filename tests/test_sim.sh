#!/usr/bin/env bash
# Some thousand worlds of the simulator (tests/sim/chaos.h), so that each change meets every kind of fault. $1: the build folder.
set -u
case $1 in
*/release) count=4000 ;;
*/debug) count=2000 ;;
*) count=600 ;; # a sanitizer makes worlds five times as slow
esac
seed=1
if "$1/sim" --seed $seed --count $count --jobs 2 --quiet; then
    echo "ok - $count worlds from seed $seed"
else
    echo "not ok - a world broke a rule; the line above says which, and how to play it again"
fi
if "$1/sim" --tls --seed $seed --count $((count / 40 + 1)) --jobs 2 --quiet; then
    echo "ok - $((count / 40 + 1)) worlds over TLS"
else
    echo "not ok - a world over TLS broke a rule"
fi
# The bugs that tests/planted plants have to have a place in the source still; finding them all takes minutes, and is for who changes it.
if "$PYTHON" "$(dirname "$0")/planted" -l; then
    echo "ok - planted bugs fit the source"
else
    echo "not ok - a planted bug has no place in the source any more: tests/planted -l"
fi
