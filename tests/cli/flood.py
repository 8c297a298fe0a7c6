#!/usr/bin/env python3
"""Floods for tests/test_memory.sh: flood.py PORT PID LIMIT_BYTES [answers-only]

Each sends a million of something to the server at PORT, whose process is PID, and looks at how the server answers and by how much
its resident memory grew at its peak: by less than LIMIT_BYTES, the largest message that it takes, and 1 MiB. Plain sockets, so
that nothing here is polite. Prints "ok - ..." and "not ok - ..." lines.
"""
import re
import select
import socket
import struct
import sys
import zlib

sys.path.insert(0, __file__.rsplit("/", 1)[0])
from peer import frame, frames, handshake  # noqa: E402

port, pid, limit = (int(a) for a in sys.argv[1:4])
measured = len(sys.argv) < 5
MILLION = 1_000_000
failed = False


def resident(field):
    with open(f"/proc/{pid}/status") as status:
        return int(re.search(rf"{field}:\s+(\d+) kB", status.read())[1]) * 1024


def forget_peak():
    with open(f"/proc/{pid}/clear_refs", "w") as clear:
        clear.write("5")


class Flood:
    """One connection: sends bytes as fast as they are taken, and reads, or does not."""

    def __init__(self, extra=""):
        self.s, _, self.rest = handshake(port, extra)
        self.counts, self.close = {}, None

    def take(self, data):
        got, self.rest = frames(self.rest + data)
        for first, payload in got:
            self.counts[first] = self.counts.get(first, 0) + 1
            if first == 0x88:
                self.close = struct.unpack("!H", payload[:2])[0]

    def send(self, data, reads=True):
        """False if the server took no more of it: it closed, or nothing moved for a second."""
        out = memoryview(data)
        self.s.setblocking(False)
        while out:
            readable, writable, _ = select.select([self.s] if reads else [], [self.s], [], 1)
            if not readable and not writable:
                return False
            try:
                if readable:
                    more = self.s.recv(1 << 18)
                    if not more:
                        return False
                    self.take(more)
                if writable:
                    out = out[self.s.send(out[:1 << 18]):]
            except (ConnectionResetError, BrokenPipeError):
                return False
        return True

    def read_until(self, first, n):
        """Reads until so many frames of this kind have come, or the end of the stream."""
        self.s.setblocking(True)
        self.s.settimeout(20)
        while self.counts.get(first, 0) < n:
            try:
                more = self.s.recv(1 << 18)
            except ConnectionResetError:
                return
            if not more:
                return
            self.take(more)

    def end(self):
        self.s.close()


def flood(name, run, grows=limit + (1 << 20)):
    """run returns what is wrong with the answers, or nothing, and what to tell."""
    global failed
    forget_peak()
    before = resident("VmRSS")
    wrong, told = run()
    grown = resident("VmHWM") - before
    if measured and grown >= grows:
        wrong = wrong or f"memory grew by {grown} bytes, {grows} or more"
    failed = failed or bool(wrong)
    memory = f"; memory grew by {max(grown, 0) // 1024} KiB" if measured else " (memory is measured in release builds)"
    print(f"not ok - {name}: {wrong}" if wrong else f"ok - {name}: {told}{memory}", flush=True)


PING = frame(0x89, b"", True)
FULL_PING = frame(0x89, b"p" * 125, True)
TEXT = frame(0x81, b"x", True)


def pings_answered():
    """A text between, as the limit of control frames in a row wants it."""
    f = Flood()
    whole = (FULL_PING * 50_000 + TEXT) * (MILLION // 50_000)
    if not f.send(whole):
        return "the server did not take them all", None
    f.read_until(0x81, MILLION // 50_000)
    pongs = f.counts.get(0x8A, 0)
    f.end()
    return ("" if pongs > 0 and f.close is None else f"{pongs} pongs, closed with {f.close}"), f"{pongs} pongs"


def pings_unread():
    """Nobody reads the pongs: they must neither pile up nor keep the server from reading on."""
    f = Flood()
    whole = (FULL_PING * 50_000 + TEXT) * (MILLION // 50_000)
    taken = f.send(whole, reads=False)
    f.read_until(0x81, MILLION // 50_000)
    pongs, texts = f.counts.get(0x8A, 0), f.counts.get(0x81, 0)
    f.end()
    if not taken or texts != MILLION // 50_000 or pongs == 0:
        return f"taken: {taken}, {pongs} pongs, {texts} echoes", None
    return "", f"all taken, {pongs} pongs in the end, every text echoed"


def pings_in_a_row():
    f = Flood()
    f.send(PING * MILLION)
    f.read_until(0x88, 1)
    f.end()
    return ("" if f.close == 1008 else f"closed with {f.close}"), f"1008 after {f.counts.get(0x8A, 0)} pongs"


def empty_fragments():
    f = Flood()
    f.send(frame(0x01, b"", True) + frame(0x00, b"", True) * MILLION)
    f.read_until(0x88, 1)
    f.end()
    return ("" if f.close == 1008 else f"closed with {f.close}"), "1008"


def empty_fragments_within_the_limit():
    f = Flood()
    message = frame(0x01, b"", True) + frame(0x00, b"", True) * 998 + frame(0x80, b"x", True)
    taken = f.send(message * 1000)
    f.read_until(0x81, 1000)
    texts = f.counts.get(0x81, 0)
    f.end()
    return ("" if taken and texts == 1000 and f.close is None else f"{texts} echoes, closed with {f.close}"), "1000 messages echoed"


def a_length_of_all():
    f = Flood()
    f.send(b"\x82\xff" + struct.pack("!Q", (1 << 63) - 1) + b"\0\0\0\0" + b"x" * MILLION)
    f.read_until(0x88, 1)
    f.end()
    return ("" if f.close == 1009 else f"closed with {f.close}"), "1009"


def declared_and_not_sent():
    """Two hundred announce the largest message there may be, and send one byte of it: memory is for what came."""
    all_of_them = [Flood() for _ in range(200)]
    for f in all_of_them:
        if not f.send(frame(0x02, b"", True) + b"\x80\xff" + struct.pack("!Q", limit) + b"\0\0\0\0" + b"x"):
            return "not taken", None
    f = Flood()
    f.send(TEXT)
    f.read_until(0x81, 1)  # what came before it has been taken in
    grown = f.counts.get(0x81, 0)
    for g in all_of_them + [f]:
        g.end()
    return ("" if grown == 1 else "no echo"), "taken"


DEFLATE = "Sec-WebSocket-Extensions: permessage-deflate\r\n"


def bomb():
    """1 GiB of zeros in 1 MiB: the same MiB of zeros, compressed, over and over."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    once = compressor.compress(bytes(1 << 20)) + compressor.flush(zlib.Z_SYNC_FLUSH)
    f = Flood(DEFLATE)
    f.send(frame(0xC2, once * 1024, True))
    f.read_until(0x88, 1)
    f.end()
    return ("" if f.close == 1009 else f"closed with {f.close}"), f"1009 for {len(once) * 1024} bytes"


def bomb_of_nothing():
    """Blocks that hold nothing: the message never gets larger, and yet it has an end."""
    nothing = b"\0\0\0\xff\xff" * 1000
    f = Flood(DEFLATE)
    f.send(frame(0x42, nothing, True) + frame(0x00, nothing, True) * (MILLION // 1000 - 1))
    f.read_until(0x88, 1)
    f.end()
    return ("" if f.close == 1009 else f"closed with {f.close}"), "1009"


def bombs_within_the_limit():
    """As many as fit in what is sent, each inflating to the limit, and echoed."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    one = compressor.compress(bytes(limit)) + compressor.flush(zlib.Z_SYNC_FLUSH)
    f = Flood(DEFLATE)
    taken = f.send(frame(0xC2, one[:-4], True) * 2000)
    f.read_until(0xC2, 2000)
    echoes = f.counts.get(0xC2, 0)
    f.end()
    return ("" if taken and echoes == 2000 and f.close is None else f"{echoes} echoes, closed with {f.close}"), "2000 echoed"


flood("1,000,000 pings of 125 bytes, answered", pings_answered)
flood("1,000,000 pings of 125 bytes, no pong read", pings_unread)
flood("1,000,000 pings in a row", pings_in_a_row)
flood("1,000,000 empty fragments in a message", empty_fragments)
flood("1,000,000 empty fragments in a thousand messages", empty_fragments_within_the_limit)
flood("a length of 2^63 - 1", a_length_of_all)
flood("200 messages announced and not sent", declared_and_not_sent)
flood("a bomb of 1 GiB", bomb)
flood("1,000,000 compressed blocks of nothing in a message", bomb_of_nothing)
flood("2,000 bombs as large as a message may be", bombs_within_the_limit, grows=8 << 20)
sys.exit(failed)
