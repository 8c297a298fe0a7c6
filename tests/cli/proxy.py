#!/usr/bin/env python3
"""Proxies for tests/test_proxies.sh that no package has. Each prints its port first, and does one thing to every client.

    proxy.py drip         CONNECT and SOCKS 5, every byte from the proxy a packet of its own, until the tunnel stands
    proxy.py stall        takes the request, and says nothing
    proxy.py hangup       takes the request, and goes
    proxy.py half         begins an answer, and goes
    proxy.py garbage      answers with a line of another protocol
    proxy.py endless      an answer whose head does not end
    proxy.py method N     SOCKS 5: asks for login method N
    proxy.py reply N      SOCKS 5: answers the request with N
"""
import socket
import sys
import threading
import time


def drip(s, data):
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for i in range(len(data)):
        s.sendall(data[i:i + 1])
        time.sleep(0.001)  # so that a byte is a packet; nothing is waited for


def exactly(s, n):
    data = b""
    while len(data) < n:
        more = s.recv(n - len(data))
        if not more:
            sys.exit(0)
        data += more
    return data


def head(s, begun=b""):
    data = begun
    while not data.endswith(b"\r\n\r\n"):
        data += exactly(s, 1)
    return data


def pump(a, b):
    try:
        while True:
            data = a.recv(65536)
            if not data:
                break
            b.sendall(data)
        b.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def relay(s, target):
    other = threading.Thread(target=pump, args=(target, s))
    other.start()
    pump(s, target)
    other.join()


def socks_request(s):
    exactly(s, exactly(s, 1)[0])  # the methods
    drip(s, b"\5\0")
    kind = exactly(s, 4)[3]
    host = {1: lambda: socket.inet_ntop(socket.AF_INET, exactly(s, 4)), 4: lambda: socket.inet_ntop(socket.AF_INET6, exactly(s, 16)),
            3: lambda: exactly(s, exactly(s, 1)[0]).decode()}[kind]()
    return host, int.from_bytes(exactly(s, 2), "big")


def mode_drip(s):
    first = exactly(s, 1)
    if first == b"\5":
        host, port = socks_request(s)
        answer = b"\5\0\0\3\4name\0\1"
    else:
        host, port = head(s, first).split(b" ")[1].decode().rsplit(":", 1)
        answer = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 Here you are\r\nVia: drip\r\nContent-Length: 5\r\n\r\n"
    print("asked for", host, flush=True)
    target = socket.create_connection((host.strip("[]"), int(port)))
    drip(s, answer)
    relay(s, target)


def mode_stall(s):
    while s.recv(4096):
        pass


def mode_hangup(s):
    s.recv(4096)


def mode_half(s):
    head(s)
    s.sendall(b"HTTP/1.1 200 O")


def mode_garbage(s):
    s.recv(4096)
    s.sendall(b"220 mail.example ESMTP\r\n")
    mode_stall(s)


def mode_endless(s):
    head(s)
    try:
        s.sendall(b"HTTP/1.1 200 OK\r\n")
        while True:
            s.sendall(b"X: " + b"y" * 1000 + b"\r\n")
    except OSError:
        pass


def mode_method(s, n):
    exactly(s, 1)
    exactly(s, exactly(s, 1)[0])
    s.sendall(bytes([5, int(n)]))
    mode_stall(s)


def mode_reply(s, n):
    exactly(s, 1)
    exactly(s, exactly(s, 1)[0])
    s.sendall(b"\5\0")
    s.recv(300)
    s.sendall(bytes([5, int(n)]))  # the rest is not waited for
    mode_stall(s)


def main():
    serve = globals()["mode_" + sys.argv[1]]
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)

    def one(s):
        with s:
            serve(s, *sys.argv[2:])

    while True:
        threading.Thread(target=one, args=(listener.accept()[0],), daemon=True).start()


main()
