#!/usr/bin/env bash
# Peers nobody here wrote, as clients of `wsring serve`; and a capture of it all that tshark must find well-formed.
# $1: the build folder. Needs python3-websockets, python3-aiohttp, node with ws, bun, deno, tshark (tools/setup.sh test).
set -u
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
failed=0
server='' keeping='' plain='' capture=''
ok() { echo "ok - $1"; }
not_ok() { echo "not ok - $1"; failed=1; }
leave() { for pid in $server $keeping $plain $capture; do kill -KILL "$pid" 2>/dev/null; done; [ -n "${KEEP:-}" ] || rm -rf "$work"; }
trap leave EXIT

# until COMMAND...: tries again, ten seconds at most
until_true() { local i; for ((i = 0; i < 200; i++)); do "$@" >/dev/null 2>&1 && return 0; sleep 0.05; done; return 1; }

# serve OPTION...: leaves $pid and $listens
serve()
{
    local line
    rm -f "$work/ready"
    mkfifo "$work/ready"
    "$WSRING" serve --port 0 --quiet "$@" >"$work/ready" 2>"$work/serve.err" &
    pid=$!
    read -r -t 10 line <"$work/ready" || { not_ok "serve did not say it listens: $(cat "$work/serve.err")"; exit 1; }
    listens=${line##*:}
}
serve && server=$pid port=$listens
# One more that keeps history, and compresses as small as zlib can.
serve --deflate-takeover --deflate-level 9 && keeping=$pid keeper=$listens
serve --no-deflate && plain=$pid plainer=$listens

# Capturing needs privileges that a container may lack; what CI runs has them.
if tshark -q -B 256 -i lo -f "tcp port $port or tcp port $keeper or tcp port $plainer" -w "$work/all.pcap" -a duration:120 >"$work/tshark.log" 2>&1 & then capture=$!; fi
until_true grep -q "Capturing on" "$work/tshark.log"

peer()
{
    local name=$1
    shift
    if timeout 60 "$@" >"$work/$name.out" 2>"$work/$name.err"; then
        cat "$work/$name.out"
    else
        cat "$work/$name.out"
        not_ok "$name failed: $(tail -n 3 "$work/$name.err" | tr '\n' ' ')"
    fi
}
peer websockets "$PYTHON" "$here/peers/client_websockets.py" "$port"
peer aiohttp "$PYTHON" "$here/peers/client_aiohttp.py" "$port"
NODE_PATH=$here/peers/node_modules peer ws node "$here/peers/client_ws.js" "$port"
peer bun "$here/peers/node_modules/.bin/bun" "$here/peers/client_standard.mjs" bun "$port"
DENO_DIR=$work/deno DENO_NO_UPDATE_CHECK=1 peer deno "$here/peers/node_modules/.bin/deno" run --allow-net=127.0.0.1 --no-config --no-lock \
    "$here/peers/client_standard.mjs" deno "$port"
for at in "$port" "$keeper"; do
    peer websockets-deflate "$PYTHON" "$here/peers/client_websockets.py" "$at" deflate
    peer aiohttp-deflate "$PYTHON" "$here/peers/client_aiohttp.py" "$at" deflate
    NODE_PATH=$here/peers/node_modules peer ws-deflate node "$here/peers/client_ws.js" "$at" deflate
done
for at in "$port" "$plainer"; do
    NODE_PATH=$here/peers/node_modules peer chromium node "$here/peers/client_chromium.js" "$at" traffic
done
peer load "$WSRING" load "ws://127.0.0.1:$port/" -c 4 -n 200 -s 0-64KiB
[ $failed -eq 0 ] && ok "wsring load agrees"

if ! kill -0 "$capture" 2>/dev/null; then
    echo "ok - tshark # SKIP it could not capture here: $(tail -n 1 "$work/tshark.log")"
else
    decode() { tshark -r "$work/all.pcap" -d "tcp.port==$port,http" -d "tcp.port==$keeper,http" -d "tcp.port==$plainer,http" "$@" 2>/dev/null; }
    # a Close of the last connection of each side: then the capture has it all
    all_there() { [ "$(decode -Y 'websocket.opcode == 8 && tcp.srcport == '"$port" | wc -l)" -ge 10 ]; }
    until_true all_there
    kill -INT "$capture" && wait "$capture" 2>/dev/null
    capture=''
    frames=$(decode -Y websocket -T fields -e websocket.opcode | tr ',' '\n' | grep -c .)
    bad=$(decode -Y '_ws.malformed || websocket.reserved == 7' | wc -l)
    wrong=$(decode -Y "websocket.mask == 1 && (tcp.srcport == $port || tcp.srcport == $keeper || tcp.srcport == $plainer)" | wc -l)
    if [ "$frames" -ge 15000 ] && [ "$bad" -eq 0 ] && [ "$wrong" -eq 0 ]; then
        ok "tshark decodes $frames frames, 0 malformed, none masked by the server"
    else
        not_ok "tshark: $frames frames, $bad malformed, $wrong masked by the server"
    fi
fi

for pid in $server $keeping $plain; do
    kill -TERM "$pid"
    wait "$pid"; rc=$?
    if [ $rc -eq 0 ]; then ok "serve drains and exits 0"; else not_ok "serve exited $rc: $(cat "$work/serve.err")"; fi
done
server='' keeping='' plain=''
exit $failed
