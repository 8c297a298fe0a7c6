#!/usr/bin/env bash
# Every example does what its first line says. $1: the build folder.
set -u
B=$1
ok() { echo "ok - $1"; }
not_ok() { echo "not ok - $1"; failed=1; }
failed=0

out=$(timeout 10 "$B/examples/socketpair"); rc=$?
want=$'echoed: hello\nclosed with 1000 on both sides'
if [ $rc -eq 0 ] && [ "$out" = "$want" ]; then ok "socketpair: two endpoints alone"; else not_ok "socketpair: rc $rc, printed: $out"; fi

coproc ECHO { exec "$B/examples/echo"; }
pid=$ECHO_PID
if read -r -t 10 url <&"${ECHO[0]}" && "$WSRING" load "$url" -c 2 -n 100 -s 0-4KiB >/dev/null; then
    ok "echo: answers wsring load"
else
    not_ok "echo: did not answer wsring load at ${url:-no url}"
fi
coproc RELAY { exec "$B/examples/relay" "$url"; }
relay_pid=$RELAY_PID
if read -r -t 10 relay <&"${RELAY[0]}" && "$WSRING" load "$relay" -c 4 -n 400 -d 16 -s 0-1MiB >/dev/null; then
    ok "relay: every byte goes through both ways"
else
    not_ok "relay: did not pass on to $url what came at ${relay:-no url}"
fi
out=$(echo hello | timeout 20 "$WSRING" connect --close 4321:bye --one "$relay" 2>/dev/null); rc=$?
if [ $rc -eq 0 ] && [ "$out" = hello ]; then ok "relay: closes through"; else not_ok "relay: connect ended with $rc and $out"; fi
kill "$relay_pid"
wait "$relay_pid" 2>/dev/null
coproc NOWHERE { exec "$B/examples/relay" ws://127.0.0.1:1/; }
nowhere_pid=$NOWHERE_PID
read -r -t 10 relay <&"${NOWHERE[0]}"
said=$(timeout 20 "$WSRING" connect "$relay" 2>&1 </dev/null); rc=$?
if [ $rc -eq 22 ] && [[ $said == *"HTTP 502"* ]]; then ok "relay: says why it lets nobody in"; else not_ok "relay: connect ended with $rc and said $said"; fi
kill "$nowhere_pid"
wait "$nowhere_pid" 2>/dev/null

kill -INT "$pid"
wait "$pid"; rc=$?
if [ $rc -eq 0 ]; then ok "echo: Ctrl-C ends it"; else not_ok "echo: exit $rc after Ctrl-C"; fi
exit $failed
