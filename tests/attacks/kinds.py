"""The attacks: each takes the server, for how many seconds and at which scale, and returns what it did, in words."""
import random
import select
import socket
import time
import zlib

from ends import MIB, REQUEST, any_server, connect, frame, hello, opened, reset


def slowloris(server, seconds, scale):
    n = int(10000 * scale)
    peers, request, sent, refused = [], (REQUEST * 4).encode(), 0, 0
    until = time.monotonic() + seconds
    while len(peers) < n and time.monotonic() < until:
        s = connect(server.port)
        s.setblocking(False)
        peers.append(s)
    at = 0
    until = max(until, time.monotonic() + seconds / 2)
    while time.monotonic() < until:
        begun = time.monotonic()
        for s in peers:
            try:
                s.send(request[at:at + 1])
                sent += 1
            except OSError:
                refused += 1
        at += 1
        time.sleep(max(0.0, 1 - (time.monotonic() - begun)))
    for s in peers:
        s.close()
    return f"{len(peers)} half handshakes, {sent} bytes at 1 B/s, {refused} writes refused"


def slow_readers(server, seconds, scale):
    peers = [opened(server.port) for _ in range(max(2, int(20 * scale)))]
    message, sent = frame(0x82, bytes(65536)), 0
    for s in peers:
        s.setblocking(False)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        _, writable, _ = select.select([], peers, [], 0.1)
        for s in writable:
            try:
                sent += s.send(message)
            except OSError:
                pass
    for s in peers:
        s.close()
    return f"{len(peers)} peers that never read, {sent // MIB} MiB sent"


def flood(server, seconds, peers_n, unit, what):
    peers, sent, closed = [opened(server.port) for _ in range(peers_n)], 0, 0
    block, rest = unit * max(1, 65536 // len(unit)), {}
    for s in peers:
        s.setblocking(False)
    until = time.monotonic() + seconds
    while time.monotonic() < until and peers:
        readable, writable, _ = select.select(peers, peers, [], 0.1)
        for s in readable:
            try:
                if not s.recv(1 << 18):
                    raise ConnectionError
            except BlockingIOError:
                pass
            except OSError:
                peers.remove(s)
                s.close()
                closed += 1
                if len(peers) < peers_n and time.monotonic() < until:
                    s = opened(server.port)
                    s.setblocking(False)
                    peers.append(s)
        for s in writable:
            if s not in peers:
                continue
            try:
                out = rest.get(s) or block
                n = s.send(out)
                sent += n
                rest[s] = out[n:]
            except OSError:
                pass
    for s in peers:
        s.close()
    return f"{sent // len(unit)} {what}, {closed} peers closed for it"


def ping_flood(server, seconds, scale):
    return flood(server, seconds, 4, frame(0x89, b"x" * 125), "pings")


def fragment_flood(server, seconds, scale):
    return flood(server, seconds, 4, frame(0x01) + frame(0x00) * 900 + frame(0x80), "messages of 902 empty fragments")


def bombs(server, seconds, scale):
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = squeeze.compress(bytes(100 * MIB)) + squeeze.flush(zlib.Z_SYNC_FLUSH)
    message, thrown, closed = frame(0xC2, bomb[:-4]), 0, 0
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        s = opened(server.port, "Sec-WebSocket-Extensions: permessage-deflate\r\n")
        try:
            s.sendall(message)
            thrown += 1
            while s.recv(65536):
                pass
        except OSError:
            pass
        closed += 1
        s.close()
    return f"{thrown} bombs of {len(message) // 1024} KiB for 100 MiB"


def connect_storm(server, seconds, scale):
    peers, before = [], server.cpu()
    begun = time.monotonic()
    for _ in range(int(1000 * scale)):
        s = socket.socket()
        s.setblocking(False)
        s.connect_ex(("127.0.0.1", server.port))
        peers.append(s)
    time.sleep(max(1.0, seconds - (time.monotonic() - begun)))
    cpu = (server.cpu() - before) / (time.monotonic() - begun) * 100
    for s in peers:
        s.close()
    begun = time.monotonic()
    while True:
        try:
            opened(server.port).close()
            break
        except OSError:
            if time.monotonic() - begun > 10:
                raise
            time.sleep(0.01)
    recovered = time.monotonic() - begun
    if recovered > 1:
        raise AssertionError(f"recovered after {recovered:.2f} s only")
    if cpu > 30:
        raise AssertionError(f"{cpu:.0f} % CPU at the limit")
    return f"{len(peers)} connects at 60 descriptors, {cpu:.0f} % CPU, recovered in {recovered * 1e3:.0f} ms"


def tls_garbage(server, seconds, scale):
    chance, n = random.Random(3), 0
    hello = bytes.fromhex("16030100c8010000c40303") + chance.randbytes(60)
    kinds = [lambda: chance.randbytes(2000), lambda: REQUEST.encode() + b"\r\n", lambda: hello, lambda: hello[:7], lambda: b"\x16\x03\x01\x40\x00" + bytes(16384),
             lambda: b"\x15\x03\x03\x00\x02\x02\x28", lambda: b"\x80" + chance.randbytes(200)]
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        s = connect(server.port)
        try:
            s.sendall(kinds[n % len(kinds)]())
            if n % 3 == 0:
                s.settimeout(0.05)
                s.recv(100)
        except OSError:
            pass
        s.close()
        n += 1
    return f"{n} connections with garbage for TLS"


def half_open(server, seconds, scale):
    peers = [opened(server.port) for _ in range(int(1000 * scale))]
    open_before = server.descriptors()
    seconds = max(seconds, 9.0)  # silent for two seconds, and then a Close that is not answered for five
    time.sleep(seconds)
    left = server.descriptors() - (open_before - len(peers))
    for s in peers:
        s.close()
    if left > 0:
        raise AssertionError(f"{left} of {len(peers)} dead peers are still there after {seconds} s")
    return f"{len(peers)} peers that answer nothing, {len(peers) - left} let go by then"


def reset_in(port, seconds, states):
    """One state after the other, (bytes sent, bytes sent inside TLS or None), then a reset; in every second round behind an answer."""
    tls, n, until = any_server(), 0, time.monotonic() + seconds
    while time.monotonic() < until:
        s, (plain, inside) = connect(port), states[n % len(states)]
        try:
            s.sendall(plain)
            if inside is not None:
                s = tls.wrap_socket(s)
                s.sendall(inside)
            if n // len(states) % 2 == 0:
                s.settimeout(0.01)
                s.recv(100)
        except OSError:
            pass
        reset(s)
        n += 1
    return f"{n} resets in {len(states)} states"


def resets(server, seconds, scale):
    request = REQUEST.encode() + b"\r\n"
    states = [b"", request[:40], request, request + frame(0x82, b"abc"), request + frame(0x82, b"abcdef")[:7], request + frame(0x01, b"ab"),
              request + frame(0x88, b"\x03\xe8"), request + frame(0x82, bytes(200000)), request + frame(0x89) * 1000, request + b"\xff" * 20]
    return reset_in(server.port, seconds, [(state, None) for state in states])


def tls_resets(server, seconds, scale):
    request, first = REQUEST.encode() + b"\r\n", hello()
    inside = [b"", request[:40], request, request + frame(0x82, b"abcdef")[:7], request + frame(0x82, bytes(200000)), request + frame(0x88, b"\x03\xe8")]
    states = [(state, None) for state in (b"", first[:7], first[:60], first)] + [(b"", state) for state in inside]
    return reset_in(server.port, seconds, states) + " of TLS"


def unread_flights(server, seconds, scale):
    """Each asks for TLS and takes the server's answer a byte a second, or not at all."""
    first, peers, fds = hello(), [], server.descriptors()
    for _ in range(int(2000 * scale)):
        s = connect(server.port, room=1)
        s.sendall(first)
        peers.append(s)
    begun = time.monotonic()
    while server.descriptors() > fds and time.monotonic() - begun < 15:  # each has ten seconds for its handshake
        for s in peers[::2]:
            try:
                s.setblocking(False)
                s.recv(1)
            except OSError:
                pass
        time.sleep(1)
    left = server.descriptors() - fds
    for s in peers:
        s.close()
    if left > 0:
        raise AssertionError(f"{left} of {len(peers)} are still there after 15 s")
    return f"{len(peers)} answers to ClientHello unread or read at 1 B/s; all let go after {time.monotonic() - begun:.0f} s"


def kernels_memory():
    """All TCP's, of this host: what a slow reader has it hold is up to tcp_wmem's third number, 4 MiB."""
    with open("/proc/net/sockstat", encoding="ascii") as file:
        return int(next(line for line in file if line.startswith("TCP:")).split()[-1]) * 4096


def tiny_windows(server, seconds, scale):
    """Each asks for far more than it takes in: all that its kernel has room for is 2,304 bytes, and it reads those one by one."""
    peers = [opened(server.port, room=1) for _ in range(int(200 * scale) or 1)]
    message, sent, taken = frame(0x82, bytes(65536)), 0, 0
    for s in peers:
        s.setblocking(False)
    until, closed, kernels = time.monotonic() + seconds, set(), kernels_memory()
    while time.monotonic() < until:
        _, writable, _ = select.select([], [s for s in peers if s not in closed], [], 0.05)
        for s in writable:
            try:
                sent += s.send(message)
            except BlockingIOError:
                pass
            except OSError:
                closed.add(s)
        for s in peers:
            try:
                taken += len(s.recv(1))
            except OSError:
                pass
    kernels = kernels_memory() - kernels
    for s in peers:
        s.close()
    return f"{len(peers)} windows of 2 KiB, {sent // MIB} MiB sent ({kernels // MIB} in the kernel's buffers), {taken} B taken, {len(closed)} closed"


def bombs_at_once(server, seconds, scale):
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = squeeze.compress(bytes(100 * MIB)) + squeeze.flush(zlib.Z_SYNC_FLUSH)
    message, thrown, told = frame(0xC2, bomb[:-4]), 0, 0
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        peers = [opened(server.port, "Sec-WebSocket-Extensions: permessage-deflate\r\n") for _ in range(int(100 * scale) or 1)]
        for s in peers:
            s.setblocking(False)
            try:
                s.send(message)
                thrown += 1
            except OSError:
                pass
        for s in peers:
            s.settimeout(10)
            try:
                told += b"\x03\xf1" in s.recv(4096)
            except OSError:
                pass
            s.close()
    if told == 0:
        raise AssertionError("nobody was told 1009")
    return f"{thrown} bombs for 100 MiB, {int(100 * scale) or 1} at once; {told} were told 1009"


def methods(server, seconds, scale):
    """Whatever else people send to a port that speaks HTTP."""
    asks = [b"CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: 127.0.0.1:22\r\n\r\n", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1073741824\r\n\r\n" + b"x" * MIB,
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(100), b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 1000, b"GET http://127.0.0.1:22/ HTTP/1.1\r\nHost: x\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 10000,
            REQUEST.replace("GET", "CONNECT").encode() + b"\r\n"]
    answers, n, until = {}, 0, time.monotonic() + seconds
    while time.monotonic() < until:
        s = connect(server.port)
        try:
            s.settimeout(2)
            s.sendall(asks[n % len(asks)])
        except OSError:
            pass
        try:
            status = s.recv(4096).split(b" ", 2)[1].decode()
        except (OSError, IndexError):
            status = "none"
        answers[status] = answers.get(status, 0) + 1
        reset(s)
        n += 1
    if "101" in answers or any(status[0] not in "45n" for status in answers):
        raise AssertionError(f"answered {answers}")
    return f"{n} of CONNECT, POST, HTTP/2 ...: " + ", ".join(f"{status} x {count}" for status, count in sorted(answers.items()))


def header_bombs(server, seconds, scale):
    start = REQUEST.encode()
    bombs_of = [start + b"X: " + b"a" * MIB, start + b"X: y\r\n" * 100000, b"GET /" + b"a" * MIB, start + b"\r\n" * 1 + b"x" * MIB,
                start + b"Cookie: " + b"\0" * 1000, b"\r\n" * 500000, start + b": " * 100000]
    n, until = 0, time.monotonic() + seconds
    while time.monotonic() < until:
        s = connect(server.port)
        try:
            s.sendall(bombs_of[n % len(bombs_of)])
            s.settimeout(0.2)
            while s.recv(65536):
                pass
        except OSError:
            pass
        s.close()
        n += 1
    return f"{n} heads of up to 1 MiB"


# name, attack, serve's options, descriptors, bound on the growth of its memory in MiB, over TLS
ATTACKS = [
    ("slowloris", slowloris, [], None, 64, False),
    ("slow readers", slow_readers, ["--message-max", "1MiB"], None, 400, False),
    ("ping flood", ping_flood, [], None, 24, False),
    ("empty fragments", fragment_flood, [], None, 8, False),
    ("bombs", bombs, ["--message-max", "1MiB"], None, 16, False),
    ("connect storm", connect_storm, [], 60, 8, False),
    ("TLS garbage", tls_garbage, ["--tls-self-signed"], None, 32, True),
    ("half-open peers", half_open, ["--idle-timeout=2s", "--ping-interval=1s", "--ping-timeout=1s"], None, 16, False),
    ("resets", resets, [], None, 40, False),
    ("header bombs", header_bombs, [], None, 16, False),
    ("tiny windows", tiny_windows, ["--message-max=64KiB", "--memory-max=64MiB"], None, 88, False),
    ("bombs at once", bombs_at_once, ["--message-max=1MiB"], None, 64, False),
    ("other methods", methods, [], None, 16, False),
    ("TLS resets", tls_resets, ["--tls-self-signed"], None, 40, True),
    ("TLS unread", unread_flights, ["--tls-self-signed"], None, 200, True),
]
