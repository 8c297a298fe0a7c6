#!/usr/bin/env bash
# The module that `wsring reconnect-js` prints, in Chromium: a page whose server is drained with 1001 and restarted comes back by
# itself; after 1000 it stays away; and its delays are the table's.
# $1: the build folder. Needs chromium, node, playwright-core and ws (tools/setup.sh test).
set -u
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
wsring=${WSRING:-$1/wsring}

"$wsring" reconnect-js >"$work/reconnect.mjs" || { echo "not ok - reconnect-js: exit code $?"; exit 1; }
"$wsring" reconnect-js surplus >"$work/out" 2>"$work/err"
if [ $? -eq 2 ] && [ ! -s "$work/out" ] && grep -q surplus "$work/err"; then
    echo "ok - reconnect-js: refuses an argument"
else
    echo "not ok - reconnect-js: took an argument"
    exit 1
fi
"$wsring" reconnect-js >/dev/full 2>"$work/err"
if [ $? -eq 1 ] && [ -s "$work/err" ]; then
    echo "ok - reconnect-js: says when it cannot write"
else
    echo "not ok - reconnect-js: lost its output without a word"
    exit 1
fi
NODE_PATH=$here/peers/node_modules timeout -k 5 100 node "$here/peers/client_reconnect.js" "$wsring" "$work/reconnect.mjs"
