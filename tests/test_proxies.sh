#!/usr/bin/env bash
# tests/test_proxies.sh - through proxies: tinyproxy (CONNECT), microsocks (SOCKS 5), and some that misbehave; ws and wss.
#
#   tests/test_proxies.sh BUILD_DIR     prints "ok N - name" and "not ok N - name" lines; WSRING names the command
# shellcheck disable=SC2016,SC2034,SC2317 # conditions are evaluated by check, with what they name
set -u
cd "$(dirname "$0")/.." || exit 1
# shellcheck source=tests/cli/lib.sh
. tests/cli/lib.sh
for program in tinyproxy microsocks; do
    command -v "$program" >/dev/null || { echo "1..0 # SKIP there is no $program"; exit 77; }
done

# The proxies cannot be asked for the port they have, so they are told one: here are all, and one that nobody ever listens on.
exec 7< <("$python" tests/cli/hold_ports.py 8)
read -ra held <&7
nobody=${held[0]}
next_port() { held=("${held[@]:1}"); proxy=${held[0]:?too few ports are held}; }
# listens PORT: somebody takes connections there, within 20 s.
listens()
{
    local i
    for ((i = 0; i < 400; i++)); do
        (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null && return 0
        sleep 0.05
    done
    return 1
}

# tinyproxy NAME LINE...: with these lines in its configuration; its port in $proxy.
tiny()
{
    name=$1
    shift
    next_port
    printf '%s\n' "Port $proxy" 'Listen 127.0.0.1' 'Timeout 60' 'MaxClients 20' 'Allow 127.0.0.1' "$@" >"$tmp/$name.conf"
    background tinyproxy -d -c "$tmp/$name.conf"
    listens "$proxy" || { echo "not ok - tinyproxy does not listen"; cat "$tmp/$name.err"; exit 1; }
}
# socks NAME OPTION...
socks()
{
    name=$1
    shift
    next_port
    background microsocks -i 127.0.0.1 -p "$proxy" "$@"
    listens "$proxy" || { echo "not ok - microsocks does not listen"; exit 1; }
}
# odd NAME MODE...: one of tests/cli/proxy.py
odd()
{
    name=$1
    shift
    background "$python" tests/cli/proxy.py "$@"
    wait_line "$tmp/$name.out" '^[0-9]+$' || { echo "not ok - proxy.py does not listen"; cat "$tmp/$name.err"; exit 1; }
    proxy=$(head -n 1 "$tmp/$name.out")
}

# through PROXY URL OPTION...: a line there and back
through()
{
    local by=$1
    shift
    printf 'hello\n' >"$tmp/in"
    timeout -k 2 60 "$wsring" connect --proxy "$by" --one "$@" >"$tmp/out" 2>"$tmp/err" <"$tmp/in"
    status=$?
}
hello() { exits 0 && [ "$(cat "$tmp/out")" = hello ]; }
# failed_with WORDS: the proxy's exit code, and what is said
failed_with() { exits 97 && err_has "not connected: .*$1"; }

serve plain
plain=$port
serve tls --tls-self-signed
tls=$port

# --- CONNECT -------------------------------------------------------------------------------------------------------------

tiny open
through "http://127.0.0.1:$proxy" "ws://127.0.0.1:$plain/"
check "tinyproxy: ws by address" hello
through "http://localhost:$proxy" "ws://localhost:$plain/chat"
check "tinyproxy: ws by name, the proxy by name" hello
through "http://127.0.0.1:$proxy" --insecure "wss://localhost:$tls/"
check "tinyproxy: wss" hello
through "http://127.0.0.1:$proxy" "ws://127.0.0.1:$nobody/"
check "tinyproxy: nobody listens behind it" failed_with '5[0-9][0-9]'
through "http://127.0.0.1:$proxy" --insecure --json --wait 0 "wss://localhost:$tls/"
check "tinyproxy: --json, the address is the proxy's" out_has "\"address\": ?\"127.0.0.1:$proxy\""

tiny login 'BasicAuth me secret'
through "http://me:s%65cret@127.0.0.1:$proxy" "ws://127.0.0.1:$plain/"
check "tinyproxy: user and password" hello
through "http://me:wrong@127.0.0.1:$proxy" "ws://127.0.0.1:$plain/"
check "tinyproxy: a wrong password" failed_with '40[17]'
through "http://127.0.0.1:$proxy" "ws://127.0.0.1:$plain/"
check "tinyproxy: none" failed_with '407'

tiny strict 'ConnectPort 443'
through "http://127.0.0.1:$proxy" "ws://127.0.0.1:$plain/"
check "tinyproxy: a port it does not let one through to" failed_with '403'

# --- SOCKS 5 -------------------------------------------------------------------------------------------------------------

socks free
through "socks5://127.0.0.1:$proxy" "ws://127.0.0.1:$plain/"
check "microsocks: ws by address" hello
through "socks5h://localhost:$proxy" "ws://localhost:$plain/"
check "microsocks: ws by name, the proxy by name" hello
through "socks5://127.0.0.1:$proxy" --insecure "wss://localhost:$tls/"
check "microsocks: wss" hello
through "socks5://127.0.0.1:$proxy" "ws://127.0.0.1:$nobody/"
check "microsocks: nobody listens behind it" failed_with 'connection refused'
if serve six --host ::1 2>/dev/null; then
    through "socks5://127.0.0.1:$proxy" "ws://[::1]:$port/"
    check "microsocks: an IPv6 address" hello
fi
through "http://127.0.0.1:$proxy" "ws://127.0.0.1:$plain/"
check "microsocks: asked as if it spoke HTTP" exits 97

socks login -u me -P 'p:ss'
through "socks5://me:p%3Ass@127.0.0.1:$proxy" "ws://127.0.0.1:$plain/"
check "microsocks: user and password" hello
through "socks5://me:wrong@127.0.0.1:$proxy" "ws://127.0.0.1:$plain/"
check "microsocks: a wrong password" failed_with 'refused user and password'
through "socks5://127.0.0.1:$proxy" "ws://127.0.0.1:$plain/"
check "microsocks: none" failed_with 'wants a user and password'

# --- Some that misbehave -------------------------------------------------------------------------------------------------

odd drip drip
for by in http socks5; do
    through "$by://127.0.0.1:$proxy" "ws://127.0.0.1:$plain/"
    check "$by in packets of a byte" hello
    through "$by://127.0.0.1:$proxy" --insecure "wss://localhost:$tls/"
    check "$by in packets of a byte: wss" hello
done
odd hangup hangup
for by in http socks5; do
    through "$by://127.0.0.1:$proxy" "ws://127.0.0.1:$plain/"
    check "$by: it hangs up" exits 97
done
odd half half
through "http://127.0.0.1:$proxy" "ws://127.0.0.1:$plain/"
check "http: it hangs up in its answer" exits 97
odd garbage garbage
through "http://127.0.0.1:$proxy" "ws://127.0.0.1:$plain/"
check "http: no HTTP" failed_with 'no HTTP'
through "socks5://127.0.0.1:$proxy" "ws://127.0.0.1:$plain/"
check "socks5: no SOCKS" failed_with 'no SOCKS 5'
odd endless endless
through "http://127.0.0.1:$proxy" "ws://127.0.0.1:$plain/"
check "http: a head without end" failed_with 'over the limit'
odd stall stall
for by in http socks5; do
    through "$by://127.0.0.1:$proxy" --timeout 300ms "ws://127.0.0.1:$plain/"
    check "$by: it says nothing" failed_with 'did not answer in time'
done
odd method method 1
through "socks5://127.0.0.1:$proxy" "ws://127.0.0.1:$plain/"
check "socks5: a login that was not offered" failed_with 'wants a user'
odd reply reply 2
through "socks5://127.0.0.1:$proxy" "ws://127.0.0.1:$plain/"
check "socks5: not allowed" failed_with 'not allowed by ruleset'

through "http://127.0.0.1:$nobody" "ws://127.0.0.1:$plain/"
check "no proxy there" eval 'exits 7 && err_has refused'
through "ftp://127.0.0.1" "ws://127.0.0.1:$plain/"
check "a proxy of a kind that is none" exits 2

echo "1..$n"
exit "$failed"
