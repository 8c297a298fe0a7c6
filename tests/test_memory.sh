#!/usr/bin/env bash
# Floods against `wsring serve`, and its resident memory meanwhile: it grows by less than the largest message and 1 MiB.
# $1: the build folder. Builds with a sanitizer, which keeps memory for itself, are only asked for the right answers.
set -u
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
server=''
leave()
{
    if [ -n "$server" ]; then kill -KILL "$server" && wait "$server"; fi 2>/dev/null
    rm -rf "$work"
}
trap leave EXIT
limit=65536
answers=''
failed=0
case $1 in */release | */debug) ;; *) answers='answers-only' ;; esac

mkfifo "$work/ready"
"$WSRING" serve --port 0 --quiet --message-max $limit >"$work/ready" 2>"$work/err" </dev/null &
server=$!
read -r -t 10 line <"$work/ready" || { echo "not ok - serve does not listen: $(cat "$work/err")"; exit 1; }
port=${line##*:}
# Every receive buffer has been in use, and every pool has been filled once.
"$WSRING" load "ws://127.0.0.1:$port/" -c 16 -n 4000 -s 64KiB >"$work/load" 2>&1 || { echo "not ok - $(tail -n 1 "$work/load")"; exit 1; }
# shellcheck disable=SC2086
"$PYTHON" "$here/cli/flood.py" "$port" "$server" $limit $answers || failed=1
kill -KILL "$server" && wait "$server" 2>/dev/null

# Short of memory: who gives way, and that it is enough (conn/shed.c).
memory=8388608
"$WSRING" serve --port 0 --quiet --memory-max $memory --drain-timeout 1s >"$work/ready" 2>"$work/err" </dev/null &
server=$!
read -r -t 10 line <"$work/ready" || { echo "not ok - serve does not listen: $(cat "$work/err")"; exit 1; }
# shellcheck disable=SC2086
"$PYTHON" "$here/cli/stalled.py" "${line##*:}" "$server" $memory $answers || failed=1
exit $failed
