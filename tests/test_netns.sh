#!/usr/bin/env bash
# Some faults of the network (make netns has all), each in namespaces of its own: tests/netns/lab --quick. $1: the build folder.
# Skipped, and says why, where there are no namespaces to be had.
set -u
here=$(cd "$(dirname "$0")" && pwd)
out=$("${PYTHON:-/usr/bin/python3}" "$here/netns/lab" "$1" --quick 2>&1)
status=$?
echo "$out"
case $status in
77) echo "ok - a network that fails # SKIP ${out#skip: }"; exit 77 ;;
0) echo "ok - $(grep -c '[0-9] = ' <<<"$out") faults of the network: found in time, nothing wrong, nothing unaccounted for" ;;
*) echo 'not ok - a network that fails' ;;
esac
exit "$status"
