#!/usr/bin/env python3
"""A server for tests/test_connect.sh, on nothing but sockets, that does to each client what its path asks for. Prints its port first.

    /close[/CODE[/REASON]]     Close at once; without CODE an empty one
    /say/TEXT...               messages, then it waits for a Close, answers and prints it; "ping:X" is a ping, "bin:HEX" is binary
    /status/N[/HEADER...]      that status, those headers, a body of a line with an escape sequence
    /wrong-accept              a 101 for another key
    /bad-frame                 a frame with all reserved bits set
    /vanish, /reset            the end of the stream, or a reset, without a Close
    /hangup, /stall            the end of the stream before an answer; no answer at all
    /mute                      an upgrade, and then silence, whatever comes
    /head                      prints the request's head, then Close 1000
    /pour/N                    N numbered lines as fast as they are taken; says when it is stuck; then Close 1000
    /deaf                      reads nothing until a line comes on standard input, then checks numbered lines until the Close
    CONNECT HOST:PORT          as a proxy: whatever comes from either side to the other; prints whom it was asked for

    server.py lines N          (no server) N numbered lines to standard output; says on standard error when it is stuck
"""
import base64
import hashlib
import os
import select
import socket
import struct
import sys
import threading
import urllib.parse

from peer import frame, frames

BODY = b"no \x1b[31mway\x1b[0m in\n"
STUCK = 0.5  # seconds in which nothing was taken


def read_head(s):
    data = b""
    while b"\r\n\r\n" not in data:
        more = s.recv(4096)
        if not more:
            return None, b""
        data += more
    return data.split(b"\r\n\r\n", 1)


def upgrade(s, head, guid=b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"):
    key = [line.split(b":", 1)[1].strip() for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key:")][0]
    accept = base64.b64encode(hashlib.sha1(key + guid).digest())
    s.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nX-Test: caf\xe9\r\nSec-WebSocket-Accept: "
              + accept + b"\r\n\r\n")


def until_close(s, rest=b"", answer=True):
    """Reads until a Close comes, and answers it."""
    while True:
        got, rest = frames(rest)
        for first, payload in got:
            if first & 15 == 8:
                if answer:
                    s.sendall(frame(0x88, payload, False))
                return payload
        more = s.recv(65536)
        if not more:
            return None
        rest += more


def close(s, head, rest, code=None, reason=""):
    upgrade(s, head)
    s.sendall(frame(0x88, b"" if code is None else struct.pack("!H", int(code)) + reason.encode(), False))
    until_close(s, rest, answer=False)


def say(s, head, rest, *texts):
    upgrade(s, head)
    for text in texts:
        if text.startswith("ping:"):
            s.sendall(frame(0x89, text[5:].encode(), False))
        elif text.startswith("bin:"):
            s.sendall(frame(0x82, bytes.fromhex(text[4:]), False))
        else:
            s.sendall(frame(0x81, text.encode().decode("unicode_escape").encode(), False))
    payload = until_close(s, rest)
    print("close", payload, flush=True)


def status(s, _head, _rest, number, *headers):
    lines = "".join(f"{h}\r\n" for h in headers)
    s.sendall(f"HTTP/1.1 {number} So\r\nContent-Length: {len(BODY)}\r\nServer: test\r\n{lines}Connection: close\r\n\r\n".encode() + BODY)


def wrong_accept(s, head, _rest):
    upgrade(s, head, b"another")


def bad_frame(s, head, rest):
    upgrade(s, head)
    s.sendall(b"\xf1\x00")
    until_close(s, rest, answer=False)


def vanish(s, head, _rest):
    upgrade(s, head)


def reset(s, head, _rest):
    upgrade(s, head)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def hangup(_s, _head, _rest):
    pass


def stall(s, _head, _rest):
    while s.recv(65536):
        pass


def mute(s, head, rest):
    upgrade(s, head)
    stall(s, head, rest)


def head(s, request, rest):
    upgrade(s, request)
    print(request.decode(), flush=True)
    s.sendall(frame(0x88, struct.pack("!H", 1000), False))
    until_close(s, rest, answer=False)


def pour(s, head, rest, n):
    upgrade(s, head)
    at = memoryview(b"".join(frame(0x81, f"{i} {'x' * 1000}".encode(), False) for i in range(int(n))))
    total, told = len(at), False
    while at:
        if not select.select([], [s], [], STUCK)[1] and not told:
            told = True
            print(f"stuck after {(total - len(at)) >> 20} of {total >> 20} MiB", flush=True)
        at = at[s.send(at[:65536], socket.MSG_DONTWAIT) if select.select([], [s], [], STUCK)[1] else 0:]
    s.sendall(frame(0x88, struct.pack("!H", 1000), False))
    until_close(s, rest, answer=False)


def deaf(s, head, rest):
    upgrade(s, head)
    sys.stdin.readline()
    n = 0
    while True:
        got, rest = frames(rest)
        for first, payload in got:
            if first & 15 == 8:
                s.sendall(frame(0x88, payload, False))
                print(f"{n} lines in order", flush=True)
                return
            if payload.split(b" ")[0] != str(n).encode():
                sys.exit(f"line {n} is {payload[:20]!r}")
            n += 1
        rest += s.recv(1 << 20)


def proxy(s, request):
    host, port = request.split()[1].decode().rsplit(":", 1)
    print("asked for", host, "authorized" if b"roxy-Authorization: Basic bWU6c2VjcmV0" in request else "", flush=True)
    try:
        other = socket.create_connection((host, int(port)))
    except OSError:
        s.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
        return
    s.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
    ends = {s: other, other: s}
    while True:
        for end in select.select(list(ends), [], [])[0]:
            data = end.recv(65536)
            if not data:
                other.close()
                return
            ends[end].sendall(data)


def lines(n):
    out = memoryview(b"".join(f"{i} {'x' * 1000}\n".encode() for i in range(int(n))))
    total, told = len(out), False
    os.set_blocking(1, False)
    while out:
        if select.select([], [1], [], STUCK)[1]:
            out = out[os.write(1, out[:65536]):]
        elif not told:
            told = True
            print(f"stuck after {(total - len(out)) >> 20} of {total >> 20} MiB", file=sys.stderr, flush=True)


def one(s):
    try:
        head, rest = read_head(s)
        if head is None:
            return
        method, target = head.decode("latin-1").split()[:2]
        if method == "CONNECT":
            proxy(s, head)
            return
        what, *arguments = [urllib.parse.unquote(part) for part in target.split("?")[0][1:].split("/")]
        globals()[what.replace("-", "_")](s, head, rest, *arguments)
    except (BrokenPipeError, ConnectionResetError):
        pass
    finally:
        s.close()


if __name__ == "__main__":
    if sys.argv[1:2] == ["lines"]:
        lines(sys.argv[2])
    else:
        listener = socket.create_server(("127.0.0.1", 0))
        print(listener.getsockname()[1], flush=True)
        while True:
            threading.Thread(target=one, args=(listener.accept()[0],), daemon=True).start()
