#!/usr/bin/env bash
# Our client against servers nobody here wrote: `wsring load` sends text and binary, whole and in fragments, pings in between, and
# compares every echoed byte. $1: the build folder. Needs what test_interop.sh needs (tools/setup.sh test).
set -u
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
failed=0
server=''
ok() { echo "ok - $1"; }
not_ok() { echo "not ok - $1"; failed=1; }
leave() { [ -z "$server" ] || kill -KILL "$server" 2>/dev/null; rm -rf "$work"; }
trap leave EXIT
export NODE_PATH=$here/peers/node_modules DENO_DIR=$work/deno DENO_NO_UPDATE_CHECK=1 DO_NOT_TRACK=1
bin=$here/peers/node_modules/.bin

# against NAME COMMAND...: a server that prints its port on a line of its own
against()
{
    local name=$1 port=''
    shift
    mkfifo "$work/$name"
    "$@" >"$work/$name" 2>"$work/$name.err" </dev/null &
    server=$!
    read -r -t 20 port <"$work/$name"
    if [ -z "$port" ]; then
        not_ok "$name does not listen: $(tail -n 3 "$work/$name.err" | tr '\n' ' ')"
    elif timeout 60 "$WSRING" load "ws://127.0.0.1:$port/" -c 4 -n 400 -s 0-64KiB --mix --fragment 25% --ping 10% --json >"$work/$name.json" 2>"$work/$name.load" &&
        "$PYTHON" - "$work/$name.json" <<'PY'
import json, sys
d = json.load(open(sys.argv[1]))
m = d["messages"]
assert d["complete"] and m["echoed"] == 400 and m["wrong"] == 0 and m["unaccounted"] == 0, m
assert m["text"] > 0 and m["fragmented"] > 0 and 0 < d["pings"]["pongs"] <= d["pings"]["sent"] and d["pings"]["wrong"] == 0, d
assert d["closes"] == {"1000": 4} and d["errors"] == {}, d
PY
    then
        ok "$name echoes 400 messages right, answers the pings, closes with 1000"
    else
        not_ok "$name: $(tail -n 3 "$work/$name.load" "$work/$name.json" | tr '\n' ' ')"
    fi
    kill -KILL "$server"
    wait "$server" 2>/dev/null
    server=''
}
against websockets "$PYTHON" "$here/peers/server_websockets.py"
against aiohttp "$PYTHON" "$here/peers/server_aiohttp.py"
against ws node "$here/peers/server_ws.js"
against bun "$bin/bun" "$here/peers/server_bun.mjs"
against deno "$bin/deno" run --allow-net=127.0.0.1 --no-config --no-lock "$here/peers/server_deno.mjs"
exit $failed
