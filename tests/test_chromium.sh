#!/usr/bin/env bash
# What a browser's ways of leaving look like to the server: close(1000) is 1000, close() is 1005, navigation away is 1001.
# $1: the build folder. Needs chromium, node and playwright-core (tools/setup.sh test).
set -u
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
server=''
trap '[ -n "$server" ] && kill -KILL "$server" 2>/dev/null; rm -rf "$work"' EXIT
failed=0

mkfifo "$work/ready"
"$WSRING" serve --port 0 --verbose >"$work/ready" 2>"$work/log" &
server=$!
exec 3<"$work/ready" # kept open: the summary comes through it too
read -r -t 10 line <&3 || { echo "not ok - serve did not say it listens: $(cat "$work/log")"; exit 1; }

NODE_PATH=$here/peers/node_modules timeout 90 node "$here/peers/client_chromium.js" "${line##*:}" || failed=1

# The server's own words, one connection after another.
for ((i = 0; i < 200; i++)); do
    [ "$(grep -c 'closed' "$work/log")" -ge 3 ] && break
    sleep 0.05
done
codes=$(sed -n 's/.*closed[^0-9]*\(1[0-9][0-9][0-9]\).*/\1/p' "$work/log" | tr '\n' ' ')
if [ "$codes" = "1000 1005 1001 " ]; then
    echo "ok - chromium: the server sees 1000 for close(1000), 1005 for close(), 1001 for navigation away"
else
    echo "not ok - chromium: the server saw '$codes', wanted '1000 1005 1001 ': $(cat "$work/log")"
    failed=1
fi
exec 3<&-
kill -TERM "$server"; wait "$server"; server=
exit $failed
