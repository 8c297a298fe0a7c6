#!/usr/bin/env bash
# Our client against servers nobody here wrote, and through proxies nobody here wrote, over plain TCP and TLS, with compression and without:
# `wsring load` sends text and binary, whole and in fragments, pings in between, and compares every echoed byte; `wsring connect` says a line.
# $1: the build folder. Needs what test_interop.sh needs, and libwebsockets-dev, nginx, haproxy (tools/setup.sh test).
set -u
here=$(cd "$(dirname "$0")" && pwd)
PATH=$PATH:/usr/sbin
work=$(mktemp -d)
failed=0
server='' front=''
ok() { echo "ok - $1"; }
not_ok() { echo "not ok - $1"; failed=1; }
end() { [ -z "$1" ] || { kill -KILL "$1" && wait "$1"; } 2>/dev/null; }
# shellcheck disable=SC2317 # it is called by the trap
leave() { end "$front"; end "$server"; rm -rf "$work"; }
trap leave EXIT
export NODE_PATH=$here/peers/node_modules DENO_DIR=$work/deno DENO_NO_UPDATE_CHECK=1 DO_NOT_TRACK=1
bin=$here/peers/node_modules/.bin
# shellcheck source=tests/cli/certs.sh
. "$here/cli/certs.sh"
certs "$work" || { not_ok "no certificates: $(tail -n 2 "$work/openssl.log")"; exit 1; }
last() { tail -n 3 "$work"/*.err "$work/load" "$work/json" 2>/dev/null | tr '\n' ' '; }

# loads URL WANTED OPTION...: WANTED is of how many echoes come compressed
connections=4 sizes=0-64KiB
loads()
{
    local url=$1 wanted=$2
    shift 2
    timeout 60 "$WSRING" load "$url" -c $connections -n 400 -s $sizes --mix --fragment 25% --ping 10% --json --tls-ca "$work/ca.pem" "$@" \
        >"$work/json" 2>"$work/load" && "$PYTHON" - "$work/json" "$wanted" $connections <<'PY'
import json, sys
d = json.load(open(sys.argv[1]))
m = d["messages"]
assert d["complete"] and m["echoed"] == 400 and m["wrong"] == 0 and m["unaccounted"] == 0, m
assert m["text"] > 0 and m["fragmented"] > 0 and 0 < d["pings"]["pongs"] <= d["pings"]["sent"] and d["pings"]["wrong"] == 0, d
assert d["closes"] == {"1000": int(sys.argv[3])} and d["errors"] == {}, d
assert eval(f'{m["deflated"]} {sys.argv[2]}'), m
PY
}

# talks NAME URL DEFLATES: DEFLATES is yes if it can compress, else no
talks()
{
    local name=$1 url=$2 wanted='== 0'
    [ "$3" = yes ] && wanted='> 200'
    if loads "$url" '== 0'; then
        ok "$name echoes 400 messages right, answers the pings, closes with 1000"
    else
        not_ok "$name: $(last)"
        return
    fi
    # Debian 12's libwebsockets (4.1.6) fails an assertion when it is to compress an empty message, and inflates wrongly where connections
    # take turns or, over TLS, a message is more than it reads at once: python3-websockets as its client sees the same.
    case $name in libwebsockets*) connections=1 sizes=1-4KiB ;; esac
    if loads "$url" "$wanted" --deflate; then
        ok "$name, offered compression: $([ "$3" = yes ] && echo compresses || echo declines), and echoes them right"
    else
        not_ok "$name, offered compression: $(last)"
    fi
    connections=4 sizes=0-64KiB
    if [ "$(echo "good morning" | timeout 20 "$WSRING" connect --one --tls-ca "$work/ca.pem" "$url" 2>"$work/connect.err")" = "good morning" ]; then
        ok "$name answers wsring connect"
    else
        not_ok "$name, wsring connect: $(last)"
    fi
}

# starts COMMAND...: a server that prints its port; leaves $server and $port
starts()
{
    port=''
    rm -f "$work/said"
    mkfifo "$work/said"
    "$@" >"$work/said" 2>"$work/server.err" </dev/null &
    server=$!
    read -r -t 20 port <"$work/said"
    [ -n "$port" ]
}

# against NAME DEFLATES COMMAND...: COMMAND is told certificate and key if it is to speak TLS
against()
{
    local name=$1 deflates=$2
    shift 2
    if starts "$@"; then talks "$name" "ws://127.0.0.1:$port/" "$deflates"; else not_ok "$name does not listen: $(last)"; fi
    end "$server"
    if starts "$@" "$work/good.pem" "$work/key.pem"; then talks "$name over TLS" "wss://localhost:$port/" "$deflates"; else not_ok "$name over TLS does not listen: $(last)"; fi
    end "$server"
    server=''
}
against websockets yes "$PYTHON" "$here/peers/server_websockets.py"
against aiohttp yes "$PYTHON" "$here/peers/server_aiohttp.py"
against ws yes node "$here/peers/server_ws.js"
against bun yes "$bin/bun" "$here/peers/server_bun.mjs"
against deno no "$bin/deno" run --allow-net=127.0.0.1 --allow-read="$work" --no-config --no-lock "$here/peers/server_deno.mjs"
if "${CC:-gcc}" -std=gnu11 -O1 "$here/peers/server_libwebsockets.c" -o "$work/libwebsockets" -lwebsockets 2>"$work/cc.err"; then
    against libwebsockets yes "$work/libwebsockets"
else
    not_ok "server_libwebsockets.c does not compile: $(last)"
fi

# --- Proxies in front of a server ----------------------------------------------------------------------------------------

# Two ports that nobody else gets, for one proxy after the other.
exec 7< <("$PYTHON" "$here/cli/hold_ports.py" 2)
read -r plain tls <&7

# accepts PORT: until it does, ten seconds at most
accepts() { local i; for ((i = 0; i < 200; i++)); do (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null && return 0; sleep 0.05; done; return 1; }

# fronted NAME COMMAND...: a proxy that listens on $plain, and with TLS on $tls
fronted()
{
    local name=$1
    shift
    "$@" >"$work/front.err" 2>&1 </dev/null &
    front=$!
    if accepts "$plain" && accepts "$tls"; then
        talks "ws behind $name" "ws://127.0.0.1:$plain/" yes
        talks "ws behind $name, over TLS" "wss://localhost:$tls/" yes
    else
        not_ok "$name does not listen: $(last)"
    fi
    kill -TERM "$front" && wait "$front" 2>/dev/null
    front=''
}

starts node "$here/peers/server_ws.js" || not_ok "ws does not listen: $(last)"
cat >"$work/nginx.conf" <<CONF
daemon off;
worker_processes 1;
pid $work/nginx.pid;
error_log stderr warn;
events { worker_connections 64; }
http {
    access_log off;
    client_body_temp_path $work/body; proxy_temp_path $work/proxy; fastcgi_temp_path $work/fastcgi; uwsgi_temp_path $work/uwsgi; scgi_temp_path $work/scgi;
    server {
        listen 127.0.0.1:$plain;
        listen 127.0.0.1:$tls ssl;
        ssl_certificate $work/good.pem;
        ssl_certificate_key $work/key.pem;
        location / {
            proxy_pass http://127.0.0.1:$port;
            proxy_http_version 1.1;
            proxy_set_header Upgrade \$http_upgrade;
            proxy_set_header Connection "upgrade";
            proxy_set_header Host \$host;
        }
    }
}
CONF
fronted nginx nginx -e stderr -p "$work" -c "$work/nginx.conf"
cat >"$work/haproxy.cfg" <<CONF
global
    maxconn 64
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    timeout tunnel 60s
frontend both
    bind 127.0.0.1:$plain
    bind 127.0.0.1:$tls ssl crt $work/both.pem
    default_backend ws
backend ws
    server ws 127.0.0.1:$port
CONF
fronted haproxy haproxy -db -f "$work/haproxy.cfg"
exit $failed
