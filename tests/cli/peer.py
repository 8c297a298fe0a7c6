#!/usr/bin/env python3
"""Peers for tests/test_cli.sh, on nothing but sockets, so that they can misbehave as no library would.

    peer.py silent PORT              connects, prints "open", answers no Close; prints "close CODE" when one comes, then waits
    peer.py slow PORT MESSAGES SIZE  sends as long as the server takes more, reads nothing meanwhile; then checks every echo
    peer.py subprotocol PORT OFFER   prints the subprotocol the server chose, or "none"
    peer.py ask PORT PATH [ORIGIN]   prints the status of the answer to a handshake
    peer.py pinged PORT PONGS        answers that many pings, then no more; prints how many there were, and what came instead
    peer.py corrupt MESSAGE          an echo server that flips a bit of that message; prints its port
    peer.py mute                     a server that takes everything and echoes nothing; prints its port
    peer.py refuse                   an HTTP server that answers 403; prints its port
"""
import base64
import hashlib
import os
import select
import socket
import struct
import sys


def handshake(port, extra=""):
    s = socket.create_connection(("127.0.0.1", port))
    key = base64.b64encode(os.urandom(16)).decode()
    s.sendall(f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
              f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n{extra}\r\n".encode())
    head = b""
    while b"\r\n\r\n" not in head:
        more = s.recv(4096)
        if not more:
            sys.exit("the server hung up in the handshake")
        head += more
    head, rest = head.split(b"\r\n\r\n", 1)
    if not head.startswith(b"HTTP/1.1 101"):
        sys.exit(f"refused: {head!r}")
    return s, head, rest


def frames(data):
    """Whole frames at the front of data, as (first byte, payload), and the rest."""
    out, at = [], 0
    while len(data) - at >= 2:
        first, second = data[at], data[at + 1]
        length, size = second & 127, 2
        if length == 126:
            if len(data) - at < 4:
                break
            length, size = struct.unpack_from("!H", data, at + 2)[0], 4
        elif length == 127:
            if len(data) - at < 10:
                break
            length, size = struct.unpack_from("!Q", data, at + 2)[0], 10
        mask = second & 128
        end = at + size + (4 if mask else 0) + length
        if len(data) < end:
            break
        payload = data[end - length:end]
        if mask:
            key = data[at + size:at + size + 4]
            payload = (int.from_bytes(payload, "big") ^ int.from_bytes((key * (length // 4 + 1))[:length], "big")).to_bytes(length, "big")
        out.append((first, payload))
        at = end
    return out, data[at:]


def frame(first, payload, masked):
    n, bit = len(payload), 128 if masked else 0
    if n < 126:
        head = struct.pack("!BB", first, bit | n)
    elif n < 65536:
        head = struct.pack("!BBH", first, bit | 126, n)
    else:
        head = struct.pack("!BBQ", first, bit | 127, n)
    return head + (b"\0\0\0\0" if masked else b"") + payload  # a masking key of zeros leaves the payload


def silent(port):
    s, _, rest = handshake(port)
    print("open", flush=True)
    while True:
        got, rest = frames(rest)
        for first, payload in got:
            if first & 15 == 8:
                print("close", struct.unpack("!H", payload[:2])[0], flush=True)
        more = s.recv(65536)
        if not more:
            print("end", flush=True)
            sys.stdin.read()  # stays, and keeps its side open
        rest += more


def slow(port, messages, size):
    s, _, rest = handshake(port)
    payloads = [struct.pack("!Q", i) + b"x" * (size - 8) for i in range(messages)]
    out = memoryview(b"".join(frame(0x82, p, True) for p in payloads))
    s.setblocking(False)
    total, stuck = len(out), False
    echoed = 0
    while echoed < messages:
        # Nothing is read until the server has stopped taking more: then it holds all it is willing to hold.
        ready, writable, _ = select.select([s] if stuck else [], [s] if out else [], [], 0.5)
        if not ready and not writable:
            if stuck:
                sys.exit(f"stuck for good after {echoed} of {messages} echoes")
            stuck = True
        if writable:
            out = out[s.send(out[:1 << 16]):]
            stuck = stuck or not out
        if ready:
            rest += s.recv(1 << 18)
            got, rest = frames(rest)
            for first, payload in got:
                if first != 0x82:
                    continue
                if payload != payloads[echoed]:
                    sys.exit(f"echo {echoed} is wrong")
                echoed += 1
    print(f"{echoed} echoes right of {total} bytes sent", flush=True)


def subprotocol(port, offer):
    _, head, _ = handshake(port, f"Sec-WebSocket-Protocol: {offer}\r\n")
    chosen = [line.split(b":", 1)[1].strip().decode() for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-protocol:")]
    print(chosen[0] if chosen else "none")


def ask(port, path, origin=None):
    s = socket.create_connection(("127.0.0.1", port))
    extra = f"Origin: {origin}\r\n" if origin else ""
    s.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
              f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}\r\nSec-WebSocket-Version: 13\r\n{extra}\r\n".encode())
    answer = b""
    while b"\r\n" not in answer:
        answer += s.recv(4096)
    print(answer.split()[1].decode())


def pinged(port, pongs):
    s, _, rest = handshake(port)
    pings = 0
    while True:
        got, rest = frames(rest)
        for first, payload in got:
            if first == 0x89:
                pings += 1
                if pings <= pongs:
                    s.sendall(frame(0x8A, payload, True))
            else:
                print(f"{pings} pings, then {first:02x} {struct.unpack('!H', payload[:2])[0]}")
                return
        rest += s.recv(4096)


def listen():
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    connection, _ = listener.accept()
    head = b""
    while b"\r\n\r\n" not in head:
        head += connection.recv(4096)
    return connection, head.split(b"\r\n\r\n", 1)


def upgraded():
    s, (head, rest) = listen()
    key = [line.split(b":", 1)[1].strip() for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key:")][0]
    accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    s.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n")
    return s, rest


def corrupt(message):
    s, rest = upgraded()
    n = 0
    while True:
        got, rest = frames(rest)
        for first, payload in got:
            if first & 15 in (1, 2):
                n += 1
                if n == message:
                    payload = payload[:-1] + bytes([payload[-1] ^ 1])
            s.sendall(frame(first, payload, False))
            if first & 15 == 8:
                return
        more = s.recv(65536)
        if not more:
            return
        rest += more


def mute():
    s, _ = upgraded()
    try:
        while s.recv(65536):
            pass
    except ConnectionResetError:
        pass


def refuse():
    s, _ = listen()
    s.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    s.shutdown(socket.SHUT_WR)
    while s.recv(4096):
        pass


if __name__ == "__main__":
    command, arguments = sys.argv[1], [int(a) if a.isdigit() else a for a in sys.argv[2:]]
    {"silent": silent, "slow": slow, "subprotocol": subprotocol, "ask": ask, "pinged": pinged, "corrupt": corrupt, "mute": mute,
     "refuse": refuse}[command](*arguments)
