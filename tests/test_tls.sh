#!/usr/bin/env bash
# tests/test_tls.sh - `wsring serve` over TLS as the world sees it: OpenSSL's own client, python3-websockets, Chromium, a program that speaks
# no TLS; and a certificate that is renewed while many talk. What our client makes of others' certificates: tests/test_connect.sh.
#
#   tests/test_tls.sh BUILD_DIR     prints "ok N - name" and "not ok N - name" lines; WSRING names the command
set -u
cd "$(dirname "$0")/.." || exit 1
# shellcheck source=tests/cli/lib.sh
. tests/cli/lib.sh
# shellcheck source=tests/cli/certs.sh
. tests/cli/certs.sh

mkdir "$tmp/certs"
certs "$tmp/certs" || { cat "$tmp/certs/openssl.log"; exit 1; }
ca=$tmp/certs/ca.pem
cp "$tmp/certs/both.pem" "$tmp/live.pem"
serve tls --tls-cert "$tmp/live.pem" --verbose
tls=$server
check "the URL is wss" eval '[ "$(cat "$tmp/tls.out")" = "listening on wss://127.0.0.1:$port" ]'

# --- OpenSSL -----------------------------------------------------------------------------------------------------------

request='GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n'
# asks OPTION...: openssl's client, which verifies, and sends an upgrade; ends when the server's answer is there.
asks()
{
    : >"$tmp/out"
    timeout 20 openssl s_client -connect "127.0.0.1:$port" -servername localhost -CAfile "$ca" -verify_return_error -verify_hostname localhost "$@" \
        < <(printf "$request"; wait_line "$tmp/out" 's3pPLMBiTxaQ9kYGzzhZRbK') >"$tmp/out" 2>"$tmp/err"
    status=$?
}
answered() { out_has '^HTTP/1.1 101 ' && out_has 'Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=' && out_has 'Verif(ication: OK|y return code: 0)'; }
for version in 1_2 1_3; do
    asks -tls$version -alpn http/1.1,h2
    check "openssl s_client, TLS $version: verified, upgraded, ALPN http/1.1" eval 'answered && out_has "^ALPN protocol: http/1.1"'
done
asks -tls1_2 -cipher 'AES128-GCM-SHA256@SECLEVEL=0'
check "no forward secrecy: refused" eval '[ $status -ne 0 ] && err_has "handshake failure"'
asks -tls1_2 -cipher 'ECDHE-ECDSA-AES128-SHA256@SECLEVEL=0'
check "no AEAD: refused" eval '[ $status -ne 0 ] && err_has "handshake failure"'
asks -tls1_1 -cipher 'ALL@SECLEVEL=0'
check "TLS 1.1: refused" eval '[ $status -ne 0 ] && err_has "protocol version"'
asks -alpn h2
check "no protocol in common: refused" eval '[ $status -ne 0 ] && err_has "no application protocol"'
for version in 1_2 1_3; do
    asks -tls$version -sess_out "$tmp/session"
    asks -tls$version -sess_in "$tmp/session"
    check "openssl s_client, TLS $version: resumes" eval 'answered && out_has "^Reused, TLSv"'
done
asks -no_ticket
check "a client without tickets: not resumed, but served" answered

# --- No TLS at all -----------------------------------------------------------------------------------------------------

exec 4<>"/dev/tcp/127.0.0.1/$port"
printf "$request" >&4 # line by line: what comes behind the first is still taken, or the answer would be lost
timeout 20 cat <&4 >"$tmp/out"
exec 4>&-
check "HTTP in the clear gets an answer that says so" eval 'out_has "^HTTP/1.1 400 Bad Request" && out_has "This port speaks TLS"'
run "$wsring" connect "ws://127.0.0.1:$port/"
check "and our own client shows it" eval 'err_has "400"'

# --- Others ------------------------------------------------------------------------------------------------------------

cat >"$tmp/client.py" <<'PYTHON'
import asyncio, ssl, sys
import websockets

async def main():
    context = ssl.create_default_context(cafile=sys.argv[2])
    context.maximum_version = getattr(ssl.TLSVersion, sys.argv[3])
    async with websockets.connect(f"wss://localhost:{sys.argv[1]}/", ssl=context, max_size=None) as ws:
        for message in ("hello", b"", b"\x00" * 16384, b"x" * 70000, "é" * 500000):
            await ws.send(message)
            assert await ws.recv() == message
        big = bytes(range(256)) * 40960
        await ws.send(big)
        assert await ws.recv() == big
    assert ws.close_code == 1000, ws.close_code

asyncio.run(main())
print("done")
PYTHON
if "$python" -c 'import websockets' 2>/dev/null; then
    for version in TLSv1_2 TLSv1_3; do
        run "$python" "$tmp/client.py" "$port" "$ca" $version
        check "python3-websockets, $version: 0 B to 10 MiB, closed with 1000" eval 'exits 0 && out_has "^done"'
    done
else
    echo "ok - python3-websockets # SKIP not here"
fi
if command -v chromium >/dev/null && command -v node >/dev/null && [ -d tests/peers/node_modules/playwright-core ]; then
    NODE_PATH=$PWD/tests/peers/node_modules run timeout 90 node tests/peers/client_chromium.js "$port" traffic wss
    check "Chromium: a page echoes over wss, and closes with 1000" eval 'exits 0 && out_has "^ok - chromium: echoes text and binary"'
else
    echo "ok - Chromium # SKIP not here"
fi

# --- Renewed while many talk -------------------------------------------------------------------------------------------

# serial: of the certificate that the server shows now
serial() { openssl s_client -connect "127.0.0.1:$port" -servername localhost </dev/null 2>/dev/null | openssl x509 -noout -serial; }
before=$(serial)
"$wsring" load --tls-ca "$ca" -c 50 -t 5s --json "wss://localhost:$port/" >"$tmp/load.out" 2>"$tmp/load.err" &
load=$!
started+=("$load")
new=0 refused=0
for ((i = 1; i <= 20; i++)); do
    certs_sign "$tmp/certs" good 2 subjectAltName=DNS:localhost,IP:127.0.0.1 2>/dev/null
    cat "$tmp/certs/good.pem" "$tmp/certs/key.pem" >"$tmp/live.new" && mv "$tmp/live.new" "$tmp/live.pem"
    kill -HUP "$tls"
    run "$wsring" load --tls-ca "$ca" -c 5 -n 100 --json "wss://localhost:$port/"
    json 'd["complete"] and d["messages"]["echoed"] == 100 and d["connections"]["failed"] == 0' && new=$((new + 5)) || refused=$((refused + 1))
done
wait "$load"
status=$?
cp "$tmp/load.out" "$tmp/out"
check "20 reloads under load: nobody dropped, every message echoed" \
    json 'd["complete"] and d["connections"]["ended_early"] == 0 and d["messages"]["sent"] == d["messages"]["echoed"] and d["errors"] == {}'
check "and everybody new let in" eval '[ "$new" -eq 100 ] && [ "$refused" -eq 0 ]'
check "and the last certificate is shown" eval '[ -n "$before" ] && [ "$(serial)" != "$before" ]'
echo "# 20 reloads: $("$python" -c 'import json,sys; d=json.load(open(sys.argv[1])); print("%d messages on 50 connections meanwhile, 0 dropped; %s new connections" % (d["messages"]["echoed"], sys.argv[2]))' "$tmp/load.out" "$new")"

echo "no certificate" >"$tmp/live.pem"
kill -HUP "$tls"
check "a reload of nonsense says so" wait_line "$tmp/tls.err" 'the certificate stays as it was: certificate .*live.pem is no good'
asks
check "and the old certificate serves on" answered
kill -TERM "$tls"
ends "$tls"
check "drained: exit 0" exits 0

# --- Who may come in ---------------------------------------------------------------------------------------------------

serve mutual --tls-cert "$tmp/certs/both.pem" --tls-client-ca "$ca" --verbose
asks -tls1_2
check "a client without a certificate: refused" eval '[ $status -ne 0 ] && ! out_has "HTTP/1.1 101"'
check "and the server says why" wait_line "$tmp/mutual.err" 'WSR_ETLS_CERTIFICATE: the peer sent no certificate'
asks -cert "$tmp/certs/self.pem" -key "$tmp/certs/key.pem"
check "a client with one of its own making: refused, and why" wait_line "$tmp/mutual.err" 'WSR_ETLS_CERTIFICATE: the certificate is self-signed'
asks -cert "$tmp/certs/expired.pem" -key "$tmp/certs/key.pem"
check "a client with one that has expired: refused, and why" wait_line "$tmp/mutual.err" 'WSR_ETLS_CERTIFICATE: the certificate has expired'
asks -cert "$tmp/certs/good.pem" -key "$tmp/certs/key.pem"
check "a client with a good one: let in" answered

serve self --tls-self-signed
run "$wsring" load --insecure -n 100 "wss://localhost:$port/"
check "--tls-self-signed, to try things out" exits 0

# --- Words -------------------------------------------------------------------------------------------------------------

run "$wsring" serve --port 0 --tls-cert "$tmp/nowhere.pem"
check "no such certificate: one line" complains 1 'certificate .*nowhere.pem: No such file'
run "$wsring" serve --port 0 --tls-cert "$ca"
check "a certificate without its key: one line" complains 1 'key .*ca.pem .*is no good'
run "$wsring" serve --port 0 --tls-cert "$ca" --tls-key "$tmp/certs/key.pem"
check "another one's key: one line" complains 1 'is not that of certificate'
run "$wsring" serve --port 0 --tls-key "$tmp/certs/key.pem"
check "a key alone: usage" usage_error 'tls-key without --tls-cert'
run "$wsring" serve --port 0 --tls-client-ca "$ca"
check "client certificates without TLS: usage" usage_error 'are for wss'

exit $failed
