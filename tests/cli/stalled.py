#!/usr/bin/env python3
"""Stalled receivers against an echo server that is short of memory: stalled.py PORT PID MEMORY_MAX [answers-only]

Many peers send without ever reading their echoes, so that the server's outboxes take all the memory there is for them. What must
hold: its resident memory stays within the limit (and 4 MiB for all else), some of the stalled are closed with 1013 or stopped, and
one peer that reads has its echoes all the while. One "ok" or "not ok" line for each.
"""
import errno
import os
import select
import socket
import sys
import time

port, pid, limit = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
answers_only = len(sys.argv) > 4
STALLED, PAYLOAD, SECONDS = 80, 60000, 4.0
REQUEST = (b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
           b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")
failed = False


def say(good, what):
    global failed
    failed |= not good
    print(("ok - " if good else "not ok - ") + what, flush=True)


def resident():
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def connect():
    """A peer whose handshake is done, or None if it was refused."""
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)  # little of what it does not read is the kernel's
    s.settimeout(10)
    s.connect(("127.0.0.1", port))
    s.sendall(REQUEST)
    answer = b""
    while b"\r\n\r\n" not in answer:
        piece = s.recv(4096)
        if not piece:
            break
        answer += piece
    return s if answer.startswith(b"HTTP/1.1 101") else None


def frame(payload):
    head = b"\x82" + (bytes([0x80 | len(payload)]) if len(payload) < 126 else b"\xfe" + len(payload).to_bytes(2, "big"))
    return head + b"\0\0\0\0" + payload


def echo(s, payload):
    s.sendall(frame(payload))
    wanted, got = b"\x82" + bytes([len(payload)]) + payload, b""
    while len(got) < len(wanted):
        piece = s.recv(len(wanted) - len(got))
        if not piece:
            return False
        got += piece
    return got == wanted


live = connect()
before = resident()
stalled = [connect() for _ in range(STALLED)]
say(all(stalled), "all are let in while there is memory")
message, progress = frame(b"x" * PAYLOAD), {}
for s in stalled:
    s.setblocking(False)
    progress[s] = 0
peak, echoes, sent, ended = before, 0, 0, 0
end = time.monotonic() + SECONDS
while time.monotonic() < end:
    _, writable, _ = select.select([], list(progress), [], 0.01)
    for s in writable:
        try:
            n = s.send(message[progress[s] % len(message):])
            progress[s] += n
            sent += n
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EINTR):
                del progress[s]
                ended += 1
    if not echo(live, b"still here"):
        break
    echoes += 1
    peak = max(peak, resident())
say(time.monotonic() >= end and echoes > 20, f"who reads had all of its {echoes} echoes")
say(sent > limit, f"{sent >> 20} MiB were sent at it, and {ended} of {STALLED} stalled peers ended")
if answers_only:
    say(True, "resident memory is not judged in this build")
else:
    say(peak - before < limit + (4 << 20), f"resident memory grew by {(peak - before) >> 10} KiB at most, {(limit >> 10)} are the limit")
for s in stalled:
    s.close()
deadline = time.monotonic() + 20
again = None
while again is None and time.monotonic() < deadline:
    again = connect()
say(again is not None and echo(again, b"new") and echo(live, b"old"), "with memory back, new ones are let in")
sys.exit(failed)
