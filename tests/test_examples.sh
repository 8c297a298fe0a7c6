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
kill -INT "$pid"
wait "$pid"; rc=$?
if [ $rc -eq 0 ]; then ok "echo: Ctrl-C ends it"; else not_ok "echo: exit $rc after Ctrl-C"; fi
exit $failed
