"""bench/lib/verify.py - does a server do what it is to be timed for? Every byte of a few messages, before anything is measured."""
import os
import socket
import ssl
import struct
import zlib

# The borders of RFC 6455 section 5.2's lengths, and more than any buffer.
SIZES = (0, 1, 20, 125, 126, 1024, 65535, 65536, 1 << 20)
TEXT = "aé€😀"  # one to four bytes a character
TEXT_OPCODE, BINARY_OPCODE = 1, 2


class Wrong(Exception):
    """What the server did instead."""


class Client:
    """The least of a blocking WebSocket client."""

    def __init__(self, port, path="/", deflate=False, tls=False):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=5)
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # whose it is does not matter here
            self.socket = context.wrap_socket(self.socket)
        self.received = b""
        offer = "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n" if deflate else ""
        self.socket.sendall((f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                             f"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{offer}\r\n").encode())
        answer = self.take_until(b"\r\n\r\n").decode("latin-1")
        if not answer.startswith("HTTP/1.1 101 ") or "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" not in answer:
            raise Wrong(f"does not upgrade: {answer.splitlines()[0]}")
        if deflate and "server_no_context_takeover" not in answer:
            raise Wrong("does not agree on compression without history")
        self.deflate = deflate

    def close(self):
        # With a reset, like the loads.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def more(self):
        data = self.socket.recv(1 << 18)
        if not data:
            raise Wrong("closes the connection")
        self.received += data

    def take_until(self, mark):
        while mark not in self.received:
            self.more()
        head, _, self.received = self.received.partition(mark)
        return head

    def take(self, n):
        while len(self.received) < n:
            self.more()
        head, self.received = self.received[:n], self.received[n:]
        return head

    def send(self, opcode, payload):
        first = 0x80 | opcode
        if self.deflate:
            packer = zlib.compressobj(6, zlib.DEFLATED, -15)
            payload = (packer.compress(payload) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]
            first |= 0x40
        n = len(payload)
        length = bytes([0x80 | n]) if n < 126 else b"\xfe" + struct.pack(">H", n) if n < 65536 else b"\xff" + struct.pack(">Q", n)
        key = os.urandom(4)
        mask = (key * (n // 4 + 1))[:n]
        masked = (int.from_bytes(payload, "big") ^ int.from_bytes(mask, "big")).to_bytes(n, "big")
        self.socket.sendall(bytes([first]) + length + key + masked)

    def receive(self):
        """The next message: its opcode, its payload, and whether it came compressed."""
        opcode, compressed, payload = 0, False, b""
        while True:
            first, length = self.take(2)
            if length == 126:
                length, = struct.unpack(">H", self.take(2))
            elif length == 127:
                length, = struct.unpack(">Q", self.take(8))
            piece = self.take(length)
            if first & 0x0F >= 8:
                continue  # a ping now and then is its own business
            if first & 0x0F:
                opcode, compressed = first & 0x0F, bool(first & 0x40)
            payload += piece
            if first & 0x80:
                break
        if compressed:
            payload = zlib.decompressobj(-15).decompress(payload + b"\0\0\xff\xff")
        return opcode, payload, compressed


def message(size, text):
    if not text:
        return (bytes(range(251)) * (size // 251 + 1))[:size]
    whole = (TEXT * (size // len(TEXT.encode()))).encode()
    return whole + b"." * (size - len(whole))


def check_message(client, opcode, payload):
    client.send(opcode, payload)
    got = client.receive()
    if got[:2] != (opcode, payload):
        raise Wrong(f"{len(payload)} bytes of {'text' if opcode == TEXT_OPCODE else 'binary'} come back as {len(got[1])} bytes, opcode {got[0]}")
    if client.deflate and len(payload) >= 1024 and not got[2]:
        raise Wrong("does not compress what it sends")


def check_echo(port, deflate=False, tls=False):
    """Raises Wrong, OSError."""
    client = Client(port, deflate=deflate, tls=tls)
    try:
        for size in SIZES:
            check_message(client, BINARY_OPCODE, message(size, False))
            check_message(client, TEXT_OPCODE, message(size, True))
        if not deflate:
            # Several in one segment: all must come back, in their order.
            for i in range(16):
                client.send(BINARY_OPCODE, bytes([i]) * 20)
            for i in range(16):
                if client.receive()[1] != bytes([i]) * 20:
                    raise Wrong("sixteen messages at once come back otherwise")
    finally:
        client.close()


def check_raw(port, in_bytes, out_bytes):
    """A raw echo (raw.h) gives back the tail of each message."""
    data = message(in_bytes, False)
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(data)
        got = b""
        while len(got) < out_bytes:
            piece = connection.recv(1 << 18)
            if not piece:
                break
            got += piece
    if got != data[in_bytes - out_bytes:]:
        raise Wrong(f"{in_bytes} bytes come back as {len(got)} others")


def check_fan(port):
    """Raises Wrong, OSError."""
    clients = [Client(port, "/sub") for _ in range(3)] + [Client(port, "/pub")]
    try:
        for i in range(3):
            clients[-1].send(BINARY_OPCODE, bytes([i]) * 64)
            for subscriber in clients[:-1]:
                if subscriber.receive()[:2] != (BINARY_OPCODE, bytes([i]) * 64):
                    raise Wrong("a subscriber gets something else than was published")
    finally:
        for client in clients:
            client.close()
