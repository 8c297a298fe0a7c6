"""bench/lib/servers.py - servers as child processes: started on their core, ready when they say so, ended by their process id."""
import contextlib
import ctypes
import os
import re
import resource
import select
import shlex
import signal
import socket
import subprocess
import time


def bind_life(core):
    """For a child, before its program starts: pins it, out of the terminal's reach, and has the kernel end it if this process dies."""
    libc = ctypes.CDLL(None)

    def prepare():
        libc.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        os.setpgid(0, 0)  # Ctrl-C is for us; we end the children, each once
        os.sched_setaffinity(0, {core})
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))

    return prepare


class Server:
    """mode: "ws", or "raw" for a TCP echo. command: words, with {port}; it prints `listening on SCHEME://HOST:PORT` when it is ready."""

    def __init__(self, name, mode, command, env=None):
        self.name, self.mode, self.command = name, mode, command
        self.env = env
        self.process = None
        self.port = 0
        self.last_words = ""

    def start(self, core):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        command = [part.replace("{port}", str(self.port)) for part in self.command]
        env = {**os.environ, **self.env} if self.env else None
        try:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=env, preexec_fn=bind_life(core))
        except OSError as problem:
            raise RuntimeError(f"{self.name}: {problem.strerror}: {shlex.join(command)}") from problem
        deadline = time.monotonic() + 10
        line = b""
        while not line.endswith(b"\n"):
            ready = select.select([self.process.stdout], [], [], max(0, deadline - time.monotonic()))[0]
            byte = os.read(self.process.stdout.fileno(), 1) if ready else b""
            if not byte:
                raise RuntimeError(f"{self.name} did not start: {shlex.join(command)}")
            line += byte
        if not re.match(rb"listening on \S+:%d\s*$" % self.port, line):
            raise RuntimeError(f"{self.name}: unexpected first line: {line.decode(errors='replace').strip()}")

    def stop(self):
        """Asks, waits, then insists."""
        process, self.process = self.process, None
        if process is None:
            return
        for ask, patience in ((process.terminate, 2), (process.kill, 5)):
            if process.poll() is None:
                ask()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(patience)
        self.last_words = process.stdout.read().decode(errors="replace")
        process.stdout.close()


@contextlib.contextmanager
def running(servers, core):
    try:
        for server in servers:
            server.start(core)
        yield
    finally:
        for server in servers:
            server.stop()


def end_on_signals():
    """SIGINT, SIGTERM and SIGHUP leave through every `finally`, once: what was started is ended."""

    def leave(number, _frame):
        for other in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(other, signal.SIG_IGN)
        raise SystemExit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, leave)
