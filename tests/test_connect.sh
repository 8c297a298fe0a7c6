#!/usr/bin/env bash
# tests/test_connect.sh - `wsring connect` as people and pipes use it: what goes through, what is said at the end, every exit code.
#
#   tests/test_connect.sh BUILD_DIR     prints "ok N - name" and "not ok N - name" lines; WSRING names the command
#
# Nothing here waits for a time to pass: it waits for a line to be printed or a process to end, up to a limit.
# shellcheck disable=SC2016,SC2034,SC2317 # conditions are evaluated by check, with what they name
set -u
cd "$(dirname "$0")/.." || exit 1
# shellcheck source=tests/cli/lib.sh
. tests/cli/lib.sh

# One server of the tests' own does to each client what its path asks for (tests/cli/server.py).
mkfifo "$tmp/peer.in"
"$python" tests/cli/server.py >"$tmp/peer.out" 2>"$tmp/peer.err" <>"$tmp/peer.in" &
started+=("$!")
wait_line "$tmp/peer.out" '^[0-9]+$' || { echo "not ok - the peer does not listen"; cat "$tmp/peer.err"; exit 1; }
peer=ws://127.0.0.1:$(head -n 1 "$tmp/peer.out")
peer_says() { wait_line "$tmp/peer.out" "$1"; }

# connects NAME OPTION...: a client in the background whose standard input is this shell's descriptor 8, and stays open till it is closed.
connects()
{
    name=$1
    shift
    mkfifo "$tmp/$name.typed"
    "$wsring" connect "$@" >"$tmp/$name.out" 2>"$tmp/$name.err" <"$tmp/$name.typed" &
    pid=$!
    started+=("$pid")
    exec 8>"$tmp/$name.typed"
}
hang_up() { exec 8>&-; }
# done_with NAME: its client has ended; what it printed is $tmp/out and $tmp/err.
done_with() { ends "$pid"; cp "$tmp/$1.out" "$tmp/out"; cp "$tmp/$1.err" "$tmp/err"; }

# fed TEXT OPTION...: a client with that text as its standard input.
fed() { printf '%b' "$1" >"$tmp/in"; shift; timeout -k 2 60 "$wsring" connect "$@" >"$tmp/out" 2>"$tmp/err" <"$tmp/in"; status=$?; }
out_is() { printf '%b' "$1" | cmp -s - "$tmp/out"; }
# events EXPRESSION: true of the list of JSON objects in $tmp/out, called e.
events() { "$python" -c 'import json, sys; e = [json.loads(l) for l in open(sys.argv[1])]; sys.exit(not eval("(" + sys.argv[2] + ")"))' "$tmp/out" "$1"; }

# --- Words and flags ---------------------------------------------------------------------------------------------------

run "$wsring" connect --help
check "--help lists every exit code" eval 'for c in 0 1 2 6 7 10 11 12 22 28 35 56 60 78 97 130; do out_has "^ +$c$(printf "\t")" || exit 1; done'
bad()
{
    local says=$1
    shift
    run "$wsring" connect "$@"
    check "usage: connect $(tr -d '\r\n' <<<"$*")" eval 'exits 2 && err_has "$says" && [ ! -s "$tmp/out" ]'
}
bad 'where to'
bad 'must begin with ws' http://127.0.0.1/
bad 'no URL' ''
bad 'not as in' --header 'no colon' ws://127.0.0.1/
bad 'not as in' --header $'A: b\r\nC: d' ws://127.0.0.1/
bad 'close 1005' --close 1005 ws://127.0.0.1/
bad 'reason is longer' --close "1000:$(printf '%0124d' 0)" ws://127.0.0.1/
bad 'address nohost' --address nohost ws://127.0.0.1/
bad 'proxy ftp://a' --proxy ftp://a ws://127.0.0.1/
bad 'subprotocols is no list' --subprotocol a/b ws://127.0.0.1/
bad 'Host' --header 'Host: a' ws://127.0.0.1/
bad 'max-age is for' --max-age 1h ws://127.0.0.1/
bad 'stamps is for' --stamps ws://127.0.0.1/
bad 'several URLs' ws://127.0.0.1/ ws://127.0.0.2/
bad 'reconnect=often' --reconnect=often ws://127.0.0.1/
bad 'wait soon' --wait soon ws://127.0.0.1/
bad 'count 0' --count 0 ws://127.0.0.1/
bad 'max-bytes 0' --max-bytes 0 ws://127.0.0.1/

# --- There and back ----------------------------------------------------------------------------------------------------

serve echo
echo_url=ws://127.0.0.1:$port/
echo_pid=$server
fed 'one\n\ngr\0303\0274n, "quoted"\nno line feed' --wait 300ms "$echo_url"
check "lines there and back, an empty one and one without an end too" eval 'exits 0 && out_is "one\n\ngr\0303\0274n, \"quoted\"\nno line feed\n"'
check "the end is told, with its name and meaning" eval 'err_has "closed by us: 1000 Normal Closure; open for .*, 4 messages in, 4 out" && err_has "1000 means: The purpose"'
fed 'one\n' --quiet --wait 0 "$echo_url"
check "--quiet says nothing; --wait 0 still gets what is owed" eval 'exits 0 && out_is "one\n" && [ ! -s "$tmp/err" ]'
fed 'one\ntwo\nthree\n' --one "$echo_url"
check "--one prints one, and does not wait" eval 'exits 0 && out_is "one\n"'
fed '1\n2\n3\n4\n' --count 3 "$echo_url"
check "--count prints that many" eval 'exits 0 && out_is "1\n2\n3\n"'
fed 'a\nb\n' --whole --wait 300ms --json "$echo_url"
check "--whole makes one message of all" events '[x["text"] for x in e if x["event"] == "message"] == ["a\nb\n"]'

"$python" -c 'import os, sys; sys.stdout.buffer.write(os.urandom(10 << 20))' >"$tmp/random"
for how in "" --whole --no-deflate; do
    # shellcheck disable=SC2086 # no option at all
    timeout 60 "$wsring" connect --binary $how --wait 300ms "$echo_url" <"$tmp/random" >"$tmp/back" 2>"$tmp/err"; status=$?
    check "10 MiB of random bytes, --binary $how: the same back" eval 'exits 0 && cmp -s "$tmp/random" "$tmp/back"'
done
# shellcheck disable=SC2002 # a pipe is meant
cat "$tmp/random" | "$wsring" connect --quiet --binary --wait 300ms "$echo_url" | cat >"$tmp/back"
check "the same through pipes" cmp -s "$tmp/random" "$tmp/back"
"$python" -c 'print("x" * 9000000); print("y" * 70000)' >"$tmp/long"
timeout 60 "$wsring" connect --quiet --wait 300ms "$echo_url" <"$tmp/long" >"$tmp/back"
check "a line of 9 MB" cmp -s "$tmp/long" "$tmp/back"
fed 'four\nfiver\n' --max-bytes 4 --wait 0 "$echo_url"
check "a line over --max-bytes is told, exit 1" eval 'exits 1 && out_is "four\n" && err_has "message 2 .*longer than 4 bytes.*--max-bytes"'
fed 'ok\n\0377\0376\n' --wait 0 "$echo_url"
check "a line that is no UTF-8 is not sent, exit 1" eval 'exits 1 && out_is "ok\n" && err_has "message 2 .*not UTF-8.*--binary"'

fed 'hello\n' --ping 50ms --wait 300ms "$echo_url"
check "pings of its own do not keep it from closing when all is quiet" eval 'exits 0 && out_is "hello\n"'

fed '' --json --count 3 "$peer/say/tab%5ct%20quote%22%20esc%5cx1b%20end/ping:are%20you%20there/bin:00ff10/two%5cnlines"
check "--json: every line an object, each event there" events '[x["event"] for x in e] == ["open", "message", "ping", "message", "message", "closed"]'
check "--json: what was said" events 'e[1]["type"] == "text" and e[1]["text"] == "tab\t quote\" esc\x1b end" and e[2]["base64"] == "YXJlIHlvdSB0aGVyZQ=="
    and e[3] | {"time": 0} == {"event": "message", "time": 0, "connection": e[0]["connection"], "type": "binary", "base64": "AP8Q", "deflated": False} and e[4]["text"] == "two\nlines"'
check "--json: the answer, its headers" events 'e[0]["status"] == 101 and ["X-Test", "caf\ufffd"] in e[0]["headers"] and e[0]["address"].startswith("127.0.0.1:") and e[0]["tls"] is None'
check "--json: the close record" events 'e[5]["code"] == 1000 and e[5]["by"] == "us" and e[5]["clean"] and e[5]["cause"] == "local_close" and e[5]["messages_in"] == 3
    and e[5]["error"] == "WSR_OK" and e[5]["code_received"] == 1000 and 0 < e[5]["lifetime"] < 60'
check "--json: no stamps where none were asked for" events 'not any("stamp" in x for x in e)'
check "--json: times are now, and rise" events 'abs(e[0]["time"] - __import__("time").time()) < 60 and [x["time"] for x in e] == sorted(x["time"] for x in e)'

for i in {1..200}; do # the kernel begins to stamp a little after it was asked to
    fed '' --json --stamps --one "$peer/say/ping:x/stamped"
    [ "$(grep -c '"stamp"' "$tmp/out")" = 2 ] && break
done
check "--json --stamps: when the kernel had it, and what it took from there" events '[x["event"] for x in e] == ["open", "ping", "message", "closed"] and
    all(abs(x["stamp"]["kernel"] - x["time"]) < 60 and 0 < x["stamp"]["waited"] < 60 and x["stamp"]["shared"] in (True, False) for x in e[1:3])'

fed '' --header 'X-One: 1' -H 'Authorization: Bearer abc' --origin https://example.com --subprotocol v2.chat --subprotocol chat \
    "$peer/head?b=c"
tr -d '\r' <"$tmp/peer.out" >"$tmp/out"
check "the request says what it was told to" eval 'exits 0 && out_has "^GET /head.b=c HTTP/1.1$" && out_has "^X-One: 1$" && out_has "^Origin: https://example.com$" &&
    out_has "^Sec-WebSocket-Protocol: v2.chat, chat$" && out_has "^Sec-WebSocket-Extensions: permessage-deflate"'
fed '' --no-deflate -v "ws://me:secret@${peer#ws://}/head"
check "--verbose shows what was agreed on; no password is shown" eval 'exits 0 && err_has "connected to $peer/head at ${peer#ws://}" && err_has "< HTTP/1.1 101" &&
    err_has "< X-Test: caf.xe9$" && ! err_has secret'
tr -d '\r' <"$tmp/peer.out" >"$tmp/out"
check "user and password become an Authorization; --no-deflate offers none" eval 'out_has "Authorization: Basic bWU6c2VjcmV0" && [ "$(grep -c Extensions "$tmp/out")" -eq 1 ]'

# --- Every exit code ---------------------------------------------------------------------------------------------------

# code CODE EXIT WHAT: how the server's Close with that code is told.
code()
{
    fed '' --wait forever "$peer/close${1:+/$1/bye}"
    check "the server says ${1:-no code}: exit $2" eval "exits $2 && err_has 'closed by the server: ${1:-1005} $3' && err_has '^wsring connect: ${1:-1005} means: .'"
}
code 1000 0 'Normal Closure "bye'
code '' 0 'No Status'
check "what is in order needs no advice" eval '! err_has "what to do"'
code 1001 10 'Going Away'
check "what to do about 1001" err_has 'what to do: .*With --reconnect'
code 1012 10 'Service Restart'
code 1013 10 'Try Again Later'
code 1002 11 'Protocol Error'
code 1007 11 'Invalid'
code 1008 12 'Policy Violation'
check "what to do about 1008" eval 'err_has "what to do: " && ! err_has "With --reconnect"'
code 1011 12 'Internal Error'
code 3000 12 ''
code 4001 12 'Private use'

# says MODE EXIT PATTERN OPTION...: what a server does, the exit code, what is said.
says()
{
    local mode=$1 wanted=$2 pattern=$3
    shift 3
    fed '' --wait forever "$@" "$peer/$mode"
    check "the server: $mode $*: exit $wanted" eval 'exits $wanted && err_has "$pattern"'
}
says bad-frame 11 'closed by us: 1002 Protocol Error: .*WSR_E'
says wrong-accept 11 'not connected: .*WSR_EANSWER'
says vanish 56 'closed by nobody: 1006 Abnormal Closure: .*WSR_ETRUNCATED'
says reset 56 '1006 Abnormal Closure: .*WSR_ERESET'
says hangup 56 'what to do: .*wss://'
says status/403 22 'not connected: .*HTTP 403'
check "a refusal: headers of interest, the body without escapes, what to do" eval 'err_has "< Server: test" && err_has "< no .x1b.31mway.x1b.0m in" && ! err_has Content-Length && err_has "what to do: .*--origin"'
says status/503/Retry-After:7 22 '< Retry-After: *7'
says status/401/WWW-Authenticate:Basic 22 'what to do: .*--header'
says status/302/Location:ws:%2f%2f127.0.0.1:1%2f 22 'Location: *ws://127.0.0.1:1/'
says stall 28 'not connected: .*WSR_ETIMEOUT_HANDSHAKE' --timeout 200ms
says mute 28 'WSR_ETIMEOUT_PING' --ping 100ms
fed '' --json "$peer/status/503/Retry-After:%207"
check "--json: a refusal" events '[x["event"] for x in e] == ["closed"] and e[0]["status"] == 503 and ["Retry-After", "7"] in e[0]["headers"] and e[0]["body"] == "no \x1b[31mway\x1b[0m in\n"
    and e[0]["cause"] == "http_503" and not e[0]["opened"] and e[0]["error"] == "WSR_EREFUSED"'
fed '' ws://no-such-host.invalid/
check "no such name: exit 6" eval 'exits 6 && err_has "not connected: .*resolved"'
exec 7< <("$python" tests/cli/hold_ports.py 1)
read -r closed <&7
fed '' "ws://127.0.0.1:$closed/"
check "nobody listens: exit 7" eval 'exits 7 && err_has "not connected: .*Connection refused" && err_has "what to do: Is the server running"'
fed '' --close 4999:enough --wait 0 "$peer/say"
check "--close says that code and reason" eval 'exits 0 && err_has "closed by us: 4999 Private use" && peer_says "^close b.*x87enough"'
timeout 60 "$wsring" connect --wait 0 "$echo_url" <"$tmp/long" >/dev/full 2>"$tmp/err"; status=$?
check "standard output is full: exit 1" eval 'exits 1 && err_has "standard output: No space"'
refuse=$tmp/refuse
${CC:-gcc} -std=gnu11 -O1 -Wall -Wextra tests/cli/refuse.c -o "$refuse" || { echo "not ok - tests/cli/refuse.c does not compile"; exit 1; }
run "$refuse" io_uring_setup EPERM "$wsring" connect "$echo_url"
check "io_uring forbidden: exit 78" complains 78 'seccomp.*io_uring_setup'

# --- TLS, proxies --------------------------------------------------------------------------------------------------------

# shellcheck source=tests/cli/certs.sh
. tests/cli/certs.sh
mkdir "$tmp/certs"
certs "$tmp/certs" || { echo "not ok - no certificates"; cat "$tmp/certs/openssl.log"; exit 1; }
# wss NAME CERTIFICATE OPTION...: a server with that certificate
wss() { local name=$1 certificate=$2; shift 2; serve "$name" --tls-cert "$tmp/certs/$certificate.pem" --tls-key "$tmp/certs/key.pem" "$@"; }
roots="--tls-ca $tmp/certs/ca.pem"

wss good good
good=$port
# shellcheck disable=SC2086 # two words
fed 'over TLS\n' $roots -v --one --keylog "$tmp/keys" "wss://localhost:$good/"
check "over TLS" eval 'exits 0 && out_is "over TLS\n" && err_has "connected to wss://localhost:$good/ at 127.0.0.1:$good, TLSv1.3 TLS_"'
check "--keylog wrote the session's secrets" grep -q '^CLIENT_TRAFFIC_SECRET_0 ' "$tmp/keys"
# shellcheck disable=SC2086
fed '' --json $roots --wait 0 "wss://127.0.0.1:$good/"
check "--json: what TLS agreed on" events 'e[0]["tls"]["version"] == "TLSv1.3" and e[0]["tls"]["alpn"] == "http/1.1"'
timeout 60 "$wsring" connect --quiet --tls-ca "$tmp/certs/ca.pem" --binary --wait 300ms "wss://localhost:$good/" <"$tmp/random" >"$tmp/back"
check "10 MiB of random bytes over TLS: the same back" cmp -s "$tmp/random" "$tmp/back"

# untrusted WORDS OPTION...: refused for that reason, with advice
untrusted()
{
    local words=$1
    shift
    fed '' "$@"
    check "a certificate: $words: exit 60" eval 'exits 60 && err_has "not connected: the peer.s certificate was refused: .*$words" && err_has "what to do: .*--tls-ca"'
}
untrusted 'root' "wss://localhost:$good/"
# shellcheck disable=SC2086
{
    wss expired expired && untrusted 'expired' $roots "wss://localhost:$port/"
    wss elsewhere elsewhere && untrusted 'another host' $roots "wss://localhost:$port/"
    wss self self && untrusted 'self-signed' $roots "wss://localhost:$port/"
}
fed 'so be it\n' --insecure --one "wss://localhost:$port/"
check "--insecure believes it, and says so" eval 'exits 0 && out_is "so be it\n" && err_has "--insecure: "'
wss mutual good --tls-client-ca "$tmp/certs/ca.pem"
# shellcheck disable=SC2086
fed '' $roots --wait 0 "wss://localhost:$port/"
check "a server that wants a certificate of ours: exit 35" eval 'exits 35 && err_has "WSR_ETLS" && err_has "what to do: .*--tls-cert"'
# shellcheck disable=SC2086
fed 'here\n' $roots --tls-cert "$tmp/certs/both.pem" --one "wss://localhost:$port/"
check "--tls-cert shows it" eval 'exits 0 && out_is "here\n"'
fed '' "wss://${echo_url#ws://}"
check "a port that does not speak TLS: exit 35" eval 'exits 35 && err_has "not connected: .*WSR_ETLS" && err_has "what to do: .*ws://"'
fed '' --tls-ca "$tmp/nowhere.pem" "wss://localhost:$good/"
check "roots that are not there: exit 1" eval 'exits 1 && err_has "nowhere.pem"'

# shellcheck disable=SC2086
fed 'through\n' $roots --proxy "http://me:secret@${peer#ws://}" --one "wss://localhost:$good/"
check "--proxy: asked by name, then TLS through it" eval 'exits 0 && out_is "through\n" && peer_says "^asked for localhost authorized"'
fed '' --proxy "http://${peer#ws://}" "ws://127.0.0.1:$closed/"
check "a proxy that cannot: exit 97" eval 'exits 97 && err_has "not connected: .*502" && err_has "what to do: .*--proxy"'

# --- Signals, pipes that are left ----------------------------------------------------------------------------------------

connects interrupted "$echo_url"
echo hello >&8
wait_line "$tmp/interrupted.out" '^hello$'
kill -INT "$pid"
done_with interrupted
check "SIGINT goes away: 1001, exit 0" eval 'exits 0 && err_has "closed by us: 1001 Going Away"'
hang_up

connects cut --json "$peer/mute"
wait_line "$tmp/cut.out" '"open"'
kill -TERM "$pid"
for ((i = 0; i < 100; i++)); do kill -INT "$pid" 2>/dev/null || break; sleep 0.05; done # what comes within 200 ms counts as one
done_with cut
check "a second signal cuts: exit 130" eval 'exits 130 && events "e[-1][\"error\"] == \"WSR_EABORTED\""'
hang_up

"$python" -c 'print("\n".join(map(str, range(200000))))' >"$tmp/many"
{ timeout 60 "$wsring" connect "$echo_url" <"$tmp/many" 2>"$tmp/err"; echo $? >"$tmp/status"; } | head -n 1 >"$tmp/out"
status=$(cat "$tmp/status")
check "a reader that leaves is an end, exit 0" eval 'exits 0 && out_is "0\n" && err_has "closed by us: 1000" && ! err_has "rror"'
mkfifo "$tmp/leaving"
"$wsring" connect --wait forever "$peer/say/first" </dev/null >"$tmp/leaving" 2>"$tmp/err" &
pid=$!
started+=("$pid")
head -n 1 <"$tmp/leaving" >"$tmp/out"
ends "$pid"
check "also when nothing more comes" eval 'exits 0 && out_is "first\n"'

# --- Backpressure --------------------------------------------------------------------------------------------------------

mkfifo "$tmp/slow"
"$wsring" connect --no-deflate --wait forever "$peer/pour/30000" </dev/null >"$tmp/slow" 2>"$tmp/err" &
pid=$!
started+=("$pid")
exec 9<"$tmp/slow"
check "nobody reads our output: the server is stopped" peer_says '^stuck after'
held=$(awk '/^VmRSS/ { print int($2 / 1024) }' "/proc/$pid/status")
passed=$(sed -n 's/^stuck after \([0-9]*\) of.*/\1/p' "$tmp/peer.out")
check "little is held meanwhile: $held MiB of memory, of $passed MiB that left the server" [ "$held" -lt 48 ]
"$python" -c '
import sys
n = 0
for line in sys.stdin:
    assert line.startswith(f"{n} x") and len(line) == len(str(n)) + 1002, (n, line[:20])
    n += 1
print(n)' <&9 >"$tmp/out"
exec 9<&-
ends "$pid"
check "then all of it comes, in order" eval 'exits 0 && out_is "30000\n" && err_has "closed by the server: 1000"'

{ "$python" tests/cli/server.py lines 30000 2>"$tmp/lines.err" | "$wsring" connect --no-deflate --wait 0 "$peer/deaf" 2>"$tmp/err"; echo $? >"$tmp/status"; } &
check "the server does not read: our input is not read" wait_line "$tmp/lines.err" '^stuck after'
echo >"$tmp/peer.in"
peer_says ' lines in order'
wait $!
status=$(cat "$tmp/status")
check "then all of it goes out, in order" eval 'exits 0 && peer_says "^30000 lines in order"'

# --- On a terminal -------------------------------------------------------------------------------------------------------

# terminal TYPED WANTED... -- OPTION...
terminal() { timeout 60 env TERM=xterm "$python" tests/cli/terminal.py "$@" >"$tmp/out" 2>"$tmp/err"; status=$?; }
unset NO_COLOR
hostile=$peer/say/one%5cx1b[2Jtwo%5cnmore/bin:00ff
terminal '\x04' '\x1b[32m< one\\x1b[2Jtwo\r\n  more\x1b[0m' '< (binary, 2 bytes) 00ff' -- "$wsring" connect "$hostile"
check "a terminal: marked, in colour, no escape of the server's gets through; Ctrl-D closes" eval 'exits 0 && err_has "closed by us: 1000"'
terminal '\x04' '< one\\x1b[2Jtwo' -- env NO_COLOR=1 "$wsring" connect "$hostile"
check "NO_COLOR" eval 'exits 0 && ! grep -q "$(printf "\033")" "$tmp/out"'
echo_say() { terminal 'hello\n' '' 'hello\r\n' '\x1b[36m> \x1b[0m' '\x1b[32m< hello' -- timeout -s INT 60 "$wsring" connect --one "$echo_url"; }
echo_say
check "what is typed gets its mark" exits 0

# --- Coming back ---------------------------------------------------------------------------------------------------------

serve first
again=$port
connects back --reconnect "ws://127.0.0.1:$again/"
echo before >&8
wait_line "$tmp/back.out" '^before$'
kill -TERM "$server"
ends "$server"
check "a drained server: RECONNECTING is told" wait_line "$tmp/back.err" 'lost: 1001 Going Away; attempt 1 in .* at ws://127.0.0.1:'
echo meanwhile >&8
"$wsring" serve --port "$again" >"$tmp/second.out" 2>"$tmp/second.err" </dev/null 8>&- &
server=$!
started+=("$server")
check "it comes back, and what was typed meanwhile goes out" wait_line "$tmp/back.out" '^meanwhile$'
hang_up
done_with back
check "and ends in order" eval 'exits 0 && out_is "before\nmeanwhile\n" && err_has "closed by us: 1000"'
connects json --reconnect --json "ws://127.0.0.1:$again/"
wait_line "$tmp/json.out" '"open"'
kill -TERM "$server"
wait_line "$tmp/json.out" '"reconnecting"'
kill -INT "$pid"
done_with json
check "--json: reconnecting; a signal while waiting ends it, exit 130" eval 'exits 130 && events "e[1][\"event\"] == \"reconnecting\" and e[1][\"cause\"] == \"1001\" and e[1][\"verdict\"] == \"retry\"
    and e[1][\"attempt\"] == 1 and 0 <= e[1][\"delay\"] <= 5.1 and e[1][\"code\"] == 1001 and e[-1][\"event\"] == \"closed\""'
hang_up
for final in "1000 0" "4001 12" "1008 12"; do
    fed '' --wait forever --reconnect "$peer/close/${final% *}"
    check "--reconnect stays away after ${final% *}: exit ${final#* }" exits "${final#* }"
done

fed '' --wait forever --reconnect "$peer/status/401"
check "nor without fresh credentials" eval 'exits 22 && err_has "lost: .*HTTP 401.*; not coming back: .*credentials"'
fed 'elsewhere\n' --wait 300ms --reconnect "ws://127.0.0.1:$closed/" "$echo_url"
check "another endpoint is tried" eval 'exits 0 && out_is "elsewhere\n" && err_has "Connection refused .*; attempt 1 in .* at $echo_url"'
connects aged --reconnect --max-age 200ms --json "$echo_url"
for ((i = 1; i <= 4; i++)); do
    until [ "$(grep -c '"open"' "$tmp/aged.out")" -ge $i ] || ! kill -0 "$pid"; do sleep 0.02; done
    echo "message $i" >&8
done
wait_line "$tmp/aged.out" 'message 4'
hang_up
done_with aged
check "--max-age: new connections take the place of old ones, no message is lost" eval 'exits 0 && events "[x[\"text\"] for x in e if x[\"event\"] == \"message\"] ==
    [f\"message {i}\" for i in range(1, 5)] and e[-1][\"code\"] == 1000 and \"reconnecting\" not in [x[\"event\"] for x in e]"'

kill -TERM "$echo_pid"
ends "$echo_pid"
exit $failed
