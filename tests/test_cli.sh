#!/usr/bin/env bash
# tests/test_cli.sh - the command as people and scripts use it: flags, exit codes, what is printed where, signals, bad hosts.
#
#   tests/test_cli.sh BUILD_DIR     prints "ok N - name" and "not ok N - name" lines; WSRING names the command
#
# Nothing here waits for a time to pass: it waits for a line to be printed or a process to end, up to a limit.
set -u
cd "$(dirname "$0")/.." || exit 1
# shellcheck source=tests/cli/lib.sh
. tests/cli/lib.sh

# --- Words and flags ---------------------------------------------------------------------------------------------------

run "$wsring" --version
check "--version names version and kernels" eval 'exits 0 && out_has "^wsring [0-9]+\.[0-9]+\.[0-9]+$" && out_has "^kernels: (avx512|avx2|sse41|neon|scalar)$"'
run env WSRING_ISA=scalar "$wsring" version
check "WSRING_ISA chooses the kernels" eval 'exits 0 && out_has "^kernels: scalar$"'
run env WSRING_ISA=mmx "$wsring" version
check "WSRING_ISA of another machine is refused" complains 2 'WSRING_ISA=mmx'
run "$wsring"
check "no command: usage, exit 2" eval 'exits 2 && err_has "^Usage: wsring"'
run "$wsring" sevre
check "unknown command: named, exit 2" complains 2 "'sevre'.*--help"
run "$wsring" help
check "help, exit 0" eval 'exits 0 && out_has "^Usage: wsring" && [ ! -s "$tmp/err" ]'
for command in serve load demo doctor explain; do
    run "$wsring" $command --help
    check "$command --help, exit 0" eval "exits 0 && out_has '^Usage: wsring $command'"
done
run "$wsring" help load
check "help load is load --help" eval 'exits 0 && out_has "^Usage: wsring load"'

# What was to be printed and was not is no success; nor may a socket get the number of a closed standard output.
for command in help version "explain 1000" "explain --list --json" "doctor --json" reconnect-js "load --help" "connect --help"; do
    # shellcheck disable=SC2086
    "$wsring" $command >/dev/full 2>"$tmp/err"; status=$?
    check "$command >/dev/full: exit 1" eval 'exits 1 && err_has "cannot write to standard output: No space left"'
    # shellcheck disable=SC2086
    "$wsring" $command >&- 2>"$tmp/err"; status=$?
    check "$command >&-: exit 1" eval 'exits 1 && err_has "cannot write to standard output: Bad file descriptor"'
done

bad()
{
    local says=$1
    shift
    run "$wsring" "$@"
    check "usage: $*" usage_error "$says"
}
bad "unrecognized option '--pot=1'" serve --pot=1
bad 'port 65536' serve --port 65536
bad 'host localhorst' serve --host localhorst
bad 'threads 0' serve --threads 0
bad 'message-max 4Kx' serve --message-max 4Kx
bad 'idle-timeout 0' serve --idle-timeout 0
bad 'ping-interval 0' serve --ping-interval 0
bad 'ping-timeout soon' serve --ping-timeout soon
bad 'deflate-level 10' serve --deflate-level 10
bad "origin ''" serve --origin ''
bad "path '/a,/b'" serve --path /a,/b
bad "'extra'" serve extra
for wrong in "--origin example.com" "--path chat" "--subprotocol a/b"; do
    # shellcheck disable=SC2086
    run "$wsring" serve --port 0 $wrong
    what=${wrong%% *}
    check "$wrong: one line, exit 2" complains 2 "${what#--}s is no list of"
done
bad 'which server' load
bad 'http://127.0.0.1/.*ws://' load http://127.0.0.1/
bad 'one URL' load ws://127.0.0.1:1/ ws://127.0.0.1:2/
bad '-c 0' load -c 0 ws://127.0.0.1:1/
bad '-s 9-3' load -s 9-3 ws://127.0.0.1:1/
bad 'fragment 101%' load --fragment 101% ws://127.0.0.1:1/
bad '-r 0' load -r 0 ws://127.0.0.1:1/
bad '--reconnect and --rate' load --reconnect -r 5 ws://127.0.0.1:1/
bad '--reconnect=soon' load --reconnect=soon ws://127.0.0.1:1/
bad 'ping-interval 0' load --ping-interval 0 ws://127.0.0.1:1/
bad '-t soon' load -t soon ws://127.0.0.1:1/
bad '-c 1:' demo -c 1

# --- A server and a load on it -----------------------------------------------------------------------------------------

serve one --verbose --stats
check "serve prints one line when ready" eval '[ "$(cat "$tmp/one.out")" = "listening on ws://127.0.0.1:$port" ]'
run "$wsring" serve --port "$port"
check "port taken: one line, exit 1" complains 1 "port $port: Address already in use.*--port"
run "$wsring" serve --port "$port" --threads 2
check "port taken, with threads that would share it: one line, exit 1" complains 1 "port $port: Address already in use"
run "$wsring" serve --host 192.0.2.1 --port 0
check "another machine's address: one line, exit 1" complains 1 '192.0.2.1.*no interface of this machine'

run "$wsring" load "ws://127.0.0.1:$port/" -n 3000 -c 7 -s 0-64KiB -d 3 --mix --fragment 25% --ping 10%
check "load verifies a mix" eval 'exits 0 && out_has "^sent 3000 = echoed 3000 \+ undelivered 0 \+ in doubt 0; unaccounted 0; wrong 0; closes: 1000 x 7$"'
check "load measures" eval 'out_has "^latency .*p50 .*p99.9 .*max " && out_has "^rate .*messages/s.*MB/s"'
run "$wsring" load "ws://localhost:$port/path?query" -n 500 -c 3 -s 20:70,1KiB:25,64KiB:5 --text --threads 2 --json
check "load --json is JSON" eval 'exits 0 && "$python" -m json.tool "$tmp/out" >/dev/null'
check "the JSON says what happened" json 'd["complete"] and d["messages"]["echoed"] == 500 and d["messages"]["text"] == 500 and d["closes"] == {"1000": 3}
    and d["latency_ns"]["count"] == 500 and 0 < d["latency_ns"]["p50"] <= d["latency_ns"]["p99.9"] <= d["latency_ns"]["max"] and d["errors"] == {}'
run "$wsring" load "ws://127.0.0.1:$port/" -r 2000 -n 500 -c 6 --threads 2 --json
check "load by the clock: 500 messages at 2000 a second take a quarter of one" \
    eval 'exits 0 && json "d[\"complete\"] and d[\"rate\"] == 2000 and 0.24 < d[\"seconds\"] and d[\"late_ns\"][\"count\"] == 500"'
run "$wsring" load "ws://127.0.0.1:$port/" -t 300ms -c 2
check "load for a time" eval 'exits 0 && out_has "closes: 1000 x 2$"'

name=interrupted
before=$(grep -c ' open, ' "$tmp/one.err")
background "$wsring" load "ws://127.0.0.1:$port/" -t 60 -c 1 --json
until [ "$(grep -c ' open, ' "$tmp/one.err")" -gt "$before" ] || ! kill -0 "$pid" 2>/dev/null; do sleep 0.05; done
kill -INT "$pid"
ends "$pid"
cp "$tmp/interrupted.out" "$tmp/out"
check "an interrupted load closes with 1000 and reports" eval 'exits 0 && json "d[\"interrupted\"] and d[\"complete\"] and d[\"closes\"] == {\"1000\": 1}"'

run "$python" tests/cli/peer.py slow "$port" 2000 32768
check "a peer that does not read loses nothing" eval 'exits 0 && out_has "^2000 echoes right"'

kill -TERM "$server"
ends "$server"
cp "$tmp/one.out" "$tmp/out" && cp "$tmp/one.err" "$tmp/err"
check "SIGTERM drains, exit 0" exits 0
check "it sums up" out_has '^drained: 20 connections, [0-9]+ messages \(.*\) in, [0-9]+ echoed; closes: '
check "it had waited for the reader" out_has '^engine 0: .*readers waited for [1-9]'
check "--verbose told each end" err_has 'closed by the peer: 1000 Normal Closure, sent 1000, received 1000, cause WSR_OK'

# --- Ends ----------------------------------------------------------------------------------------------------------------

serve drained --quiet
name=load
background "$wsring" load "ws://127.0.0.1:$port/" -t 60 -c 8 -s 0-64KiB -d 8 --json
# The load reports its connections only at the end, so ask the kernel for them.
until [ "$(awk -v port="$(printf ':%04X' "$port")" 'index($3, port) && $4 == "01"' /proc/net/tcp | wc -l)" -ge 8 ] || ! kill -0 "$pid"; do sleep 0.05; done
kill -TERM "$server"
ends "$server"
check "a drain under load, exit 0" exits 0
check "--quiet prints the ready line only" eval '[ "$(wc -l <"$tmp/drained.out")" -eq 1 ]'
ends "$pid"
cp "$tmp/load.out" "$tmp/out" && cp "$tmp/load.err" "$tmp/err"
check "a load that was sent away says so, exit 1" eval 'exits 1 && err_has "8 ended before they were asked to"'
check "it saw 1001 and accounts for every message" json 'd["closes"] == {"1001": 8} and d["messages"]["unaccounted"] == 0 and d["messages"]["wrong"] == 0
    and d["messages"]["sent"] == d["messages"]["echoed"] + d["messages"]["undelivered"] + d["messages"]["in_doubt"] and not d["complete"]'

serve hasty
kill -STOP "$server"
"$python" - "$port" <<'END'
import socket, sys
for _ in range(20):  # all there before the server looks: they open and end in one batch
    s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
    s.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
              b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")
    s.close()
END
kill -CONT "$server"
run "$wsring" load "ws://127.0.0.1:$port/" -n 1 -c 1
kill -TERM "$server"
ends "$server"
check "who opens and hangs up at once has not failed to shake hands" eval 'grep -q "^drained: 21 .*1006 x 20" "$tmp/hasty.out" && ! grep -q "handshakes failed" "$tmp/hasty.out"'

serve restarted --quiet
name=load
background "$wsring" load "ws://127.0.0.1:$port/" -t 60 -c 8 -s 0-64KiB -d 8 --reconnect=fast --json
connected() { [ "$(awk -v port="$(printf ':%04X' "$port")" 'index($3, port) && $4 == "01"' /proc/net/tcp | wc -l)" -ge 8 ]; }
until connected || ! kill -0 "$pid"; do sleep 0.05; done
kill -TERM "$server"
ends "$server"
serve restarted --quiet --port "$port"
until connected || ! kill -0 "$pid"; do sleep 0.05; done
kill -INT "$pid"
ends "$pid"
cp "$tmp/load.out" "$tmp/out" && cp "$tmp/load.err" "$tmp/err"
check "a load with --reconnect comes back to a restarted server, exit 0" eval 'exits 0 && json "d[\"complete\"] and d[\"connections\"][\"lost\"] == 8
    and d[\"connections\"][\"reopened\"] == 8 and d[\"closes\"] == {\"1001\": 8, \"1000\": 8}"'
check "and accounts for what was in flight" json 'd["messages"]["unaccounted"] == 0 and d["messages"]["wrong"] == 0
    and d["messages"]["sent"] == d["messages"]["echoed"] + d["messages"]["undelivered"] + d["messages"]["in_doubt"]'

serve cut
name=silent
background "$python" tests/cli/peer.py silent "$port"
wait_line "$tmp/silent.out" '^open'
kill -TERM "$server"
check "the first signal sends 1001" wait_line "$tmp/silent.out" '^close 1001'
check "and waits for the answer" kill -0 "$server"
begin=$(now_ms)
kill -TERM "$server"
ends "$server"
check "a second signal cuts, exit 1" eval 'exits 1 && [ $(($(now_ms) - begin)) -lt 2000 ]'
cp "$tmp/cut.out" "$tmp/out"
check "and says what it cut" out_has '^connections cut: 1$'

serve deadline --drain-timeout 300ms
name=silent2
background "$python" tests/cli/peer.py silent "$port"
wait_line "$tmp/silent2.out" '^open'
kill -INT "$server"
ends "$server"
cp "$tmp/deadline.out" "$tmp/out" && cp "$tmp/deadline.err" "$tmp/err"
check "a drain has a deadline" eval 'exits 0 && out_has "^drained: 1 connections"'

serve limits --message-max 1KiB --subprotocol v2.chat --subprotocol chat --threads 2
run "$wsring" load "ws://127.0.0.1:$port/" -n 10 -c 1 -s 1025
check "a message over --message-max closes with 1009" eval 'exits 1 && out_has "in doubt 1; .*closes: 1009 x 1$"'
run "$wsring" load "ws://127.0.0.1:$port/" -n 200 -c 20 -s 1KiB --threads 2
check "two threads serve two threads" eval 'exits 0 && out_has "^sent 200 = echoed 200 "'
run "$python" tests/cli/peer.py subprotocol "$port" "chat, v2.chat"
check "the server's best subprotocol is chosen" eval '[ "$(cat "$tmp/out")" = v2.chat ]'
run "$python" tests/cli/peer.py subprotocol "$port" "other"
check "an unknown subprotocol is not" eval '[ "$(cat "$tmp/out")" = none ]'
kill -TERM "$server"
ends "$server"
check "two threads drain, exit 0" exits 0

# --- Compression: offered by serve unless told otherwise, and by load if told to -----------------------------------------

# deflates NAME WANTED OPTION...: how many echoes come compressed from a server with these options.
deflates()
{
    local name=$1 wanted=$2
    shift 2
    serve "$name" "$@"
    run "$wsring" load "ws://127.0.0.1:$port/" --deflate -n 400 -c 4 -s 0-64KiB -d 3 --mix --fragment 25% --json
    check "load --deflate against serve $*" eval "exits 0 && json 'd[\"complete\"] and d[\"messages\"][\"deflated\"] $wanted'"
    kill -TERM "$server"
    ends "$server"
}
deflates takeover '> 200' --deflate-takeover
deflates level '> 200' --deflate-level 6
deflates none '== 0' --no-deflate
serve deflate
run "$wsring" load "ws://127.0.0.1:$port/" -n 100 -c 2 -s 4KiB --deflate
check "serve compresses for those who offer it, and load says so" eval 'exits 0 && out_has "^deflate   100 echoes came compressed$"'
run "$wsring" load "ws://127.0.0.1:$port/" -n 100 -c 2 -s 4KiB
check "nothing is compressed for those who do not" eval 'exits 0 && ! out_has "^deflate"'
kill -TERM "$server"
ends "$server"

serve tls --tls-self-signed
run "$wsring" load "wss://localhost:$port/" -n 400 -c 4 -s 0-64KiB -d 3 --mix --fragment 25% --ping 10% --deflate --insecure
check "load over TLS" eval 'exits 0 && out_has "^sent 400 = echoed 400 .* closes: 1000 x 4$" && err_has "insecure"'
run "$wsring" load "wss://localhost:$port/" -n 4 -c 1
check "load believes no certificate that it cannot trust" eval 'exits 1 && out_has "WSR_ETLS_CERTIFICATE x 1"'
kill -TERM "$server"
ends "$server"

serve door --origin https://example.com --origin none --path / --path /chat
for want in "101 /" "101 /chat?room=1 https://example.com" "403 /chat https://evil.example" "404 /other" "404 /other https://example.com"; do
    # shellcheck disable=SC2086
    run "$python" tests/cli/peer.py ask "$port" ${want#* }
    check "--origin and --path answer ${want#* } with ${want%% *}" eval '[ "$(cat "$tmp/out")" = ${want%% *} ]'
done
kill -TERM "$server"
ends "$server"
serve pinging --verbose --ping-interval 20ms --ping-timeout 1s
run "$python" tests/cli/peer.py pinged "$port" 3
check "a peer that leaves a ping unanswered is told 1001" eval '[ "$(cat "$tmp/out")" = "4 pings, then 88 1001" ]'
wait_line "$tmp/pinging.err" ' closed '
cp "$tmp/pinging.err" "$tmp/err"
check "and the log says why, and how long its answers had taken" err_has 'closed by us: 1001 .*cause WSR_ETIMEOUT_PING, .*, round trip [0-9.]+ [num]?s$'
kill -TERM "$server"
ends "$server"

# --- Servers that are not there, or wrong --------------------------------------------------------------------------------

run "$wsring" load "ws://127.0.0.1:$port/" -n 10 -c 2
check "no server: named, exit 1" eval 'exits 1 && out_has "WSR_ECONNECT x 2" && err_has "is the server running"'
name=corrupt
background "$python" tests/cli/peer.py corrupt 37
wait_line "$tmp/corrupt.out" '^[0-9]'
run "$wsring" load "ws://127.0.0.1:$(cat "$tmp/corrupt.out")/" -n 100 -c 1 -s 100
check "one flipped bit is found, exit 1" eval 'exits 1 && out_has "wrong 1; " && out_has "^wrong .*message 36: byte 99 of 100 "'
name=mute
background "$python" tests/cli/peer.py mute
wait_line "$tmp/mute.out" '^[0-9]'
run "$wsring" load "ws://127.0.0.1:$(cat "$tmp/mute.out")/" -n 10 -c 1 -d 10 --patience 300ms
check "a server that never echoes is cut, its messages in doubt, exit 1" eval 'exits 1 && out_has "WSR_EABORTED x 1" &&
    out_has "^sent 10 = echoed 0 \+ undelivered 0 \+ in doubt 10; unaccounted 0; wrong 0; closes: 1006 x 1$"'
name=refuse
background "$python" tests/cli/peer.py refuse
wait_line "$tmp/refuse.out" '^[0-9]'
run "$wsring" load "ws://127.0.0.1:$(cat "$tmp/refuse.out")/" -n 100 -c 1
check "an HTTP refusal is told with its status, exit 1" eval 'exits 1 && out_has "WSR_EREFUSED x 1" && out_has "HTTP status 403"'

# --- Hosts that refuse ---------------------------------------------------------------------------------------------------

refuse=$tmp/refuse
${CC:-gcc} -std=gnu11 -O1 -Wall -Wextra tests/cli/refuse.c -o "$refuse" || { echo "not ok - tests/cli/refuse.c does not compile"; exit 1; }
for command in "serve --port 0" "load ws://127.0.0.1:$port/" demo; do
    begin=$(now_ms)
    # shellcheck disable=SC2086
    run "$refuse" io_uring_setup EPERM "$wsring" $command
    took=$(($(now_ms) - begin))
    check "io_uring forbidden: ${command%% *} exits 78 within a second and says why" eval 'exits 78 && err_has "seccomp.*io_uring_setup" && [ $took -lt 1000 ]'
done
run "$refuse" io_uring_setup ENOSYS "$wsring" serve --port 0
check "io_uring hidden: exit 78" complains 78 'seccomp|too old'
run "$refuse" io_uring_setup ENOMEM "$wsring" serve --port 0
check "memory may not be locked: exit 78, and how to raise the limit" complains 78 'RLIMIT_MEMLOCK.*ulimit -l'
run "$refuse" bind EACCES "$wsring" serve --port 80
check "no permission for the port: one line, exit 1" complains 1 'port 80: Permission denied.*1024'

# --- The demonstration -----------------------------------------------------------------------------------------------------

run "$wsring" demo -t 1s -c 16
check "demo: 1000 stays closed, 1001 comes back, all accounted for" eval 'exits 0 && [ ! -s "$tmp/err" ] &&
    tail -n 1 "$tmp/out" | grep -qE "^sent [0-9]+ = echoed [0-9]+ \+ undelivered [0-9]+ \+ in doubt [0-9]+; unaccounted 0; wrong 0; closes: 1000 x 16, 1001 x 8$" &&
    grep -q "8 of the 8 that saw 1001 are back" "$tmp/out"'
name=demo
background "$wsring" demo -t 60 -c 16
wait_line "$tmp/demo.out" '^2\. 16 clients'
kill -INT "$pid"
ends "$pid"
cp "$tmp/demo.out" "$tmp/out" && cp "$tmp/demo.err" "$tmp/err"
check "an interrupted demo ends, with its server, exit 1" eval 'exits 1 && err_has "interrupted"'
exit $failed
