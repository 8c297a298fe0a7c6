"""bench/lib/peers.py - the servers that others make, as apt and npm give them: how each is started, its version, and whether it is here.

Each is a small program of ours in bench/peers/, written for that peer's public API: PROGRAM PORT [--deflate | --tls FILE].
"""
import re
import shutil
import subprocess
from pathlib import Path

from lib.servers import Server

PEERS = Path(__file__).resolve().parent.parent / "peers"
MODULES = PEERS / "node_modules"


def first_line(command):
    """What a program says about itself, or ""."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return (done.stdout + done.stderr).strip().split("\n", 1)[0]


def debian_version(package):
    return first_line(["dpkg-query", "-W", "-f", "${Version}", package])


def npm_version(package):
    try:
        return re.search(r'"version":\s*"([^"]+)"', (MODULES / package / "package.json").read_text()).group(1)
    except (OSError, AttributeError):
        return ""


class Peer:
    """name; words that start it, before the port; files without which it is not here; environment; lacks: what it cannot do.

    What there is to be lacked: "deflate", "tls", "fan".
    """

    def __init__(self, name, command, files, version, env=None, lacks=()):
        self.name, self.command, self.files, self.version, self.env = name, command, files, version, env
        self.lacks = set(lacks)

    def is_here(self):
        return all(Path(file).exists() for file in self.files) and shutil.which(str(self.command[0])) is not None

    def server(self, deflate=False, certificate=None):
        options = ["--deflate"] if deflate else ["--tls", str(certificate)] if certificate else []
        return Server(self.name, "ws", [*map(str, self.command), "{port}", *options], self.env)


def find_peers(build):
    """All that could be here, in the order of the tables."""
    built = build / "bench/peers"
    deno_env = {"DENO_NO_UPDATE_CHECK": "1", "DENO_DIR": str(build / "bench/deno")}
    bun, deno = MODULES / "bun/bin/bun.exe", MODULES / "deno/deno"
    return [
        Peer("bun", [bun, PEERS / "bun.mjs"], [bun], lambda: f"bun {npm_version('bun')} (uWebSockets inside)"),
        Peer("deno", [deno, "run", "--allow-net=127.0.0.1", "--allow-read", "--no-config", "--no-lock", PEERS / "deno.mjs"], [deno],
             lambda: f"deno {npm_version('deno')} (fastwebsockets inside)", deno_env, lacks=["deflate"]),
        Peer("ws", ["node", PEERS / "ws.cjs"], [MODULES / "ws"], lambda: f"ws {npm_version('ws')} on node {first_line(['node', '--version'])}"),
        Peer("libwebsockets", [built / "libwebsockets"], [built / "libwebsockets"], lambda: f"libwebsockets {debian_version('libwebsockets-dev')}"),
        Peer("beast", [built / "beast"], [built / "beast"], lambda: f"Boost.Beast {debian_version('libboost-dev')}", lacks=["tls"]),
        Peer("websocketpp", [built / "websocketpp"], [built / "websocketpp"], lambda: f"websocketpp {debian_version('libwebsocketpp-dev')}",
             lacks=["tls"]),
    ]
