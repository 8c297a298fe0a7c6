#!/usr/bin/env bash
# `wsring serve` and its host: a socket from the service manager, load balancers, socket options, memory. $1: the build folder.
set -u
cd "$(dirname "$0")/.." || exit 1
work=$(mktemp -d)
server=''
trap '[ -n "$server" ] && kill -KILL "$server" 2>/dev/null; rm -rf "$work"' EXIT
failed=0
check()
{
    local name=$1
    shift
    if "$@"; then echo "ok - $name"; else echo "not ok - $name"; sed 's/^/# /' "$work"/*.err "$work/out" 2>/dev/null; failed=1; fi
}

# serve COMMAND...: leaves $server and $port
serve()
{
    local line
    rm -f "$work/ready"
    mkfifo "$work/ready"
    "$@" >"$work/ready" 2>"$work/serve.err" </dev/null &
    server=$!
    read -r -t 10 line <"$work/ready" || { echo "not ok - $* does not listen: $(cat "$work/serve.err")"; exit 1; }
    port=${line##*:}
}
stop() { kill -TERM "$server"; wait "$server"; ended=$?; server=''; }
load() { timeout 60 "$WSRING" load "ws://127.0.0.1:$port/" -n 200 -c 4 >"$work/out" 2>"$work/load.err"; }

# As systemd does it: descriptor 3, non-blocking, and the two variables with the pid of what is executed.
cat >"$work/activate.py" <<'END'
import os, socket, sys
s = socket.socket()
s.bind(("127.0.0.1", 0))
s.listen(64)
s.setblocking(False)
if s.fileno() != 3:
    os.dup2(s.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[1], sys.argv[1:])
END
serve "$PYTHON" "$work/activate.py" "$WSRING" serve --inherit --quiet
check "serves on an inherited socket" load
stop
check "and drains" [ "$ended" -eq 0 ]
"$WSRING" serve --inherit >"$work/out" 2>"$work/usage.err"
check "--inherit without a socket: exit 2" [ $? -eq 2 ]

serve "$WSRING" serve --port 0 --proxy-protocol --verbose
cat >"$work/balanced.py" <<'END'
import socket, sys
for header in (b"PROXY TCP4 192.0.2.7 198.51.100.9 4000 443\r\n", b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\2\x08\xc6\x33\x64\x09\x0f\xa0\x01\xbb"):
    s = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 10)
    s.sendall(header + b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
              b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n\x81\x82\0\0\0\0hi")
    got = b""
    while not got.endswith(b"\x81\x02hi"):
        piece = s.recv(4096)
        assert piece, got
        got += piece
    s.close()
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 10)
s.sendall(b"GET / HTTP/1.1\r\n\r\n")
try:
    assert s.recv(100) == b""
except ConnectionResetError:
    pass
END
check "a balancer's connections are served, others are not" timeout 60 "$PYTHON" "$work/balanced.py" "$port"
stop
check "and logged under their own addresses" eval 'grep -q 192.0.2.7:4000 "$work/serve.err" && grep -q 192.0.2.8:4000 "$work/serve.err"'

serve "$WSRING" serve --port 0 --quiet --user-timeout 5s --keepalive 30s --dscp 46 --reserve 4MiB --prefault --wait throughput
check "socket options and a reserve" load
stop
serve "$WSRING" serve --port 0 --quiet --wait latency --spin 100us --memory-max 64MiB
check "latency" load
stop
mkfifo "$work/told"
exec 9<>"$work/told"
"$WSRING" serve --port 0 --receive-stamps >&9 2>"$work/serve.err" </dev/null &
server=$!
read -r -t 10 line <&9 || exit 1
port=${line##*:}
check "messages with time stamps" load
stop
read -r -t 10 line <&9
read -r -t 10 line <&9
check "how long they took from the kernel is told" eval '[[ $line =~ "from the kernel to here: p50 ".*", p90 ".*" of "[0-9]+" messages" ]]'
exec 9>&-
for wrong in "--dscp 64" "--wait never" "--spin 11s" "--user-timeout soon" "--reserve none" "--keepalive 99999s"; do
    # shellcheck disable=SC2086
    "$WSRING" serve --port 0 $wrong >"$work/out" 2>"$work/usage.err"
    check "$wrong: exit 2" [ $? -eq 2 ]
done
case $1 in
*/asan | */tsan) ;; # whose mlock does nothing
*)
    (
        ulimit -l 256
        exec timeout 20 setpriv --bounding-set -ipc_lock --inh-caps -ipc_lock "$WSRING" serve --port 0 --lock-memory >"$work/out" 2>"$work/lock.err"
    )
    ended=$?
    check "--lock-memory beyond ulimit -l: refused, with a word" eval '[ $ended -ne 0 ] && grep -q "RLIMIT_MEMLOCK" "$work/lock.err"'
    ;;
esac
exit $failed
