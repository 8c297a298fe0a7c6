"""Both ends of an attack: a server of its own, and a valid client that must be served meanwhile; and sockets for attackers."""
import base64
import hashlib
import multiprocessing
import os
import random
import re
import resource
import socket
import ssl
import struct
import subprocess
import time

REQUEST = ("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
           "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n")
GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
MIB = 1 << 20


def frame(first, payload=b""):
    """Masked by the key 0: it is valid, and costs nothing to make."""
    n = len(payload)
    head = struct.pack("!BB", first, 0x80 | n) if n < 126 else struct.pack("!BBH", first, 0xFE, n) if n < 65536 else struct.pack("!BBQ", first, 0xFF, n)
    return head + b"\0\0\0\0" + payload


def connect(port, room=None):
    """room: of its receive buffer, bytes; the kernel makes it 2,304 at least."""
    s = socket.socket()
    if room is not None:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
    s.settimeout(10)
    s.connect(("127.0.0.1", port))
    return s


def opened(port, extra="", room=None):
    s = connect(port, room)
    s.sendall((REQUEST + extra + "\r\n").encode())
    answer = b""
    while b"\r\n\r\n" not in answer:
        more = s.recv(4096)
        if not more:
            raise ConnectionError("no answer")
        answer += more
    if b" 101 " not in answer.split(b"\r\n", 1)[0]:
        raise ConnectionError(answer[:40])
    return s


def any_server():
    """For TLS: attackers do not ask who it is."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def hello():
    """A ClientHello that is in order."""
    out = ssl.MemoryBIO()
    try:
        any_server().wrap_bio(ssl.MemoryBIO(), out).do_handshake()
    except ssl.SSLWantReadError:
        pass
    return out.read()


def reset(s):
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


# ---- the valid client, a process of its own ----

class Valid:
    """Sends a random message every few milliseconds, and waits for its echo. Comes back if it is dropped, and counts that."""

    def __init__(self, port, tls):
        self.stop = multiprocessing.Event()
        self.ready = multiprocessing.Event()
        self.result = multiprocessing.Queue()
        self.process = multiprocessing.Process(target=self.run, args=(port, tls), daemon=True)
        self.process.start()
        self.ready.wait(10)

    def end(self):
        self.stop.set()
        result = self.result.get(timeout=30)
        self.process.join(5)
        return result

    @staticmethod
    def open(port, tls):
        s = connect(port)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            s = any_server().wrap_socket(s)
        key = base64.b64encode(os.urandom(16)).decode()
        s.sendall(REQUEST.replace("dGhlIHNhbXBsZSBub25jZQ==", key).encode() + b"\r\n")
        answer = b""
        while not answer.endswith(b"\r\n\r\n"):
            answer += s.recv(1) or b"?\r\n\r\n"
        if base64.b64encode(hashlib.sha1((key + GUID).encode()).digest()) not in answer:
            raise ConnectionError(answer[:60])
        return s

    def run(self, port, tls):
        times, failures, why, s, chance = [], 0, "", None, random.Random(7)
        while not self.stop.is_set():
            try:
                if s is None:
                    s = self.open(port, tls)
                    self.ready.set()
                payload = chance.randbytes(chance.randrange(2, 125))
                begun = time.monotonic()
                s.sendall(frame(0x82, payload))
                echo = b""
                while len(echo) < 2 + len(payload):
                    more = s.recv(4096)
                    if not more:
                        raise ConnectionError("closed")
                    echo += more
                if echo != bytes((0x82, len(payload))) + payload:
                    raise ConnectionError("wrong bytes")
                times.append(time.monotonic() - begun)
                time.sleep(0.004)
            except (OSError, ssl.SSLError) as error:
                failures, why, s = failures + 1, str(error), None
                time.sleep(0.05)
        times.sort()
        p99, slowest = (times[int(len(times) * 0.99)] * 1e3, times[-1] * 1e3) if times else (0, 0)
        self.result.put((len(times), p99, slowest, failures, why))


# ---- the server ----

class Server:
    def __init__(self, command, options=(), descriptors=None):
        limit = (lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))) if descriptors else None
        self.process = subprocess.Popen([command, "serve", "--port", "0", "--quiet", "--wait=throughput", *options], stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, text=True, preexec_fn=limit)
        self.port = int(self.process.stdout.readline().rsplit(":", 1)[1].strip("/\n"))
        self.pid = self.process.pid

    def memory(self, field="VmRSS"):
        with open(f"/proc/{self.pid}/status") as status:
            return int(re.search(rf"{field}:\s+(\d+) kB", status.read())[1]) * 1024

    def forget_peak(self):
        with open(f"/proc/{self.pid}/clear_refs", "w") as clear:
            clear.write("5")

    def cpu(self):
        with open(f"/proc/{self.pid}/stat") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def end(self):
        alive = self.process.poll() is None
        self.process.terminate()
        try:
            return alive and self.process.wait(15) == 0
        except subprocess.TimeoutExpired:
            self.process.kill()
            return False
