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

# loads NAME PORT WANTED OPTION...: WANTED is of how many echoes come compressed
loads()
{
    local name=$1 port=$2 wanted=$3
    shift 3
    timeout 60 "$WSRING" load "ws://127.0.0.1:$port/" -c 4 -n 400 -s 0-64KiB --mix --fragment 25% --ping 10% --json "$@" \
        >"$work/$name.json" 2>"$work/$name.load" && "$PYTHON" - "$work/$name.json" "$wanted" <<'PY'
import json, sys
d = json.load(open(sys.argv[1]))
m = d["messages"]
assert d["complete"] and m["echoed"] == 400 and m["wrong"] == 0 and m["unaccounted"] == 0, m
assert m["text"] > 0 and m["fragmented"] > 0 and 0 < d["pings"]["pongs"] <= d["pings"]["sent"] and d["pings"]["wrong"] == 0, d
assert d["closes"] == {"1000": 4} and d["errors"] == {}, d
assert eval(f'{m["deflated"]} {sys.argv[2]}'), m
PY
}

# against NAME DEFLATES COMMAND...: a server that prints its port on a line of its own; DEFLATES is yes if it can compress, else no
against()
{
    local name=$1 deflates=$2 port='' wanted='== 0'
    shift 2
    [ "$deflates" = yes ] && wanted='> 200'
    mkfifo "$work/$name"
    "$@" >"$work/$name" 2>"$work/$name.err" </dev/null &
    server=$!
    read -r -t 20 port <"$work/$name"
    if [ -z "$port" ]; then
        not_ok "$name does not listen: $(tail -n 3 "$work/$name.err" | tr '\n' ' ')"
    elif loads "$name" "$port" '== 0'; then
        ok "$name echoes 400 messages right, answers the pings, closes with 1000"
        if loads "$name" "$port" "$wanted" --deflate; then
            ok "$name, offered compression: $([ "$deflates" = yes ] && echo compresses || echo declines), and echoes them right"
        else
            not_ok "$name, offered compression: $(tail -n 3 "$work/$name.load" "$work/$name.json" | tr '\n' ' ')"
        fi
    else
        not_ok "$name: $(tail -n 3 "$work/$name.load" "$work/$name.json" | tr '\n' ' ')"
    fi
    kill -KILL "$server"
    wait "$server" 2>/dev/null
    server=''
}
against websockets yes "$PYTHON" "$here/peers/server_websockets.py"
against aiohttp yes "$PYTHON" "$here/peers/server_aiohttp.py"
against ws yes node "$here/peers/server_ws.js"
against bun yes "$bin/bun" "$here/peers/server_bun.mjs"
against deno no "$bin/deno" run --allow-net=127.0.0.1 --no-config --no-lock "$here/peers/server_deno.mjs"
exit $failed
