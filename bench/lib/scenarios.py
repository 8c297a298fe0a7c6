"""bench/lib/scenarios.py - what `make bench-net` measures, and the goals it is held against.

A goal is a ratio, ours by theirs, of server CPU or of latency, at most so much; bun stands in for uWebSockets, which Debian and npm
do not have as such, with sharper goals for being slower. Where uWebSockets itself takes part (--peer uws=...), its own goals count too.
"""
from dataclasses import dataclass, field

from lib.stats import cpu_us

BETTER_RAW = "raw"  # in goals: the better of the two raw echoes, in that run


@dataclass
class Scenario:
    name: str
    title: str
    program: str
    arguments: list
    unit: str = "message"
    units: str = "messages"
    goals: dict = field(default_factory=dict)  # against whom: at most
    goal_figure: str = "cpu"  # or p50, p99
    raw_payload: int = -1  # bytes of a message, where the raw echoes take part
    raw_spins: bool = False  # one of them also as a program that looks for a while before it sleeps
    text: bool = False
    deflate: bool = False
    tls: bool = False
    latency: bool = False  # judged by a quantile of each slice
    slices: int = 10
    seconds_factor: float = 1.0  # longer or shorter than the others
    brakes: int = 1  # more where the load needs more than the servers do, and they would not be at full load
    serve: list = field(default_factory=list)  # options of `wsring serve`


def echo(name, connections, payload, depth, goals, text=False, deflate=False, tls=False):
    size = f"{payload} B" if payload < 1024 else f"{payload >> 10} KiB" if payload < 1 << 20 else f"{payload >> 20} MiB"
    kind = "text" if text else "binary"
    title = f"echo of {size}, {kind}{', compressed' if deflate else ', TLS_AES_128_GCM_SHA256' if tls else ''}, {connections} connections, {depth} in flight on each"
    arguments = ["--connections", connections, "--payload", payload, "--depth", depth]
    arguments += ["--text"] if text else []
    arguments += ["--deflate"] if deflate else ["--tls"] if tls else []
    return Scenario(name, title, "echo_load", list(map(str, arguments)), goals=goals, raw_payload=-1 if deflate or tls else payload, text=text,
                    deflate=deflate, tls=tls, brakes=2 if tls else 1) # a load that seals works harder


SCENARIOS = [
    echo("20Bx100", 100, 20, 1, {"raw-uring": 1.04, "bun": 0.70, "uws": 0.85}),
    echo("20Bx1000", 1000, 20, 1, {"raw-uring": 1.04, "bun": 0.66, "uws": 0.85}),
    echo("20Bx50x16", 50, 20, 16, {"raw-uring": 1.08, "bun": 0.49, "uws": 0.80}),
    echo("1KiBx200", 200, 1024, 1, {BETTER_RAW: 1.05, "bun": 0.77, "uws": 0.85}),
    echo("64KiBx20", 20, 65536, 1, {BETTER_RAW: 1.05, "bun": 0.27, "uws": 0.82}),
    echo("1MiBx4", 4, 1 << 20, 1, {BETTER_RAW: 1.10, "bun": 0.36, "uws": 0.60}, text=True),
    echo("deflate", 50, 1024, 1, {}, text=True, deflate=True),
    echo("tls-20Bx100", 100, 20, 1, {}, tls=True),
    echo("tls-64KiBx20", 20, 65536, 1, {}, tls=True),
    Scenario("fan-out", "64 B from one publisher to 1000 subscribers", "fan_load", ["--connections", "1000"],
             unit="delivery", units="deliveries", slices=5),
    Scenario("fan-out-16KiB", "16 KiB from one publisher to 1000 subscribers", "fan_load", ["--connections", "1000", "--payload", "16384"],
             unit="delivery", units="deliveries", slices=5),
    Scenario("upgrade", "connect, upgrade, close; 32 at once", "upgrade_load", ["--connections", "32"], unit="upgrade", units="upgrades",
             brakes=10, goals={"bun": 0.63, "uws": 0.75}),  # the load's end of a connection costs twice the server's
    Scenario("pingpong", "20 B back and forth on one connection", "rate_load", ["--connections", "1"], goals={"bun": 0.40, "uws": 0.40},
             goal_figure="p50", raw_payload=20, raw_spins=True, latency=True, slices=1, seconds_factor=0.2, serve=["--wait", "latency"]),
    Scenario("50kHz", "50,000 messages of 20 B a second by a schedule, over 100 connections", "rate_load",
             ["--connections", "100", "--rate", "50000", "--settle", "10"], goals={"bun": 0.80, "uws": 0.80}, goal_figure="p99", raw_payload=20, latency=True),
]

FIGURES = {
    "cpu": cpu_us,
    "p50": lambda piece: piece["p50_ns"] / 1e3,
    "p99": lambda piece: piece["p99_ns"] / 1e3,
    "p99.9": lambda piece: piece["p999_ns"] / 1e3,
}

IDLE_GOAL_BYTES = 256
SYSCALLS_GOAL = 0.06
ALLOCATIONS_GOAL = 0.0
# What counts as none: a pool that grows by a chunk in millions of messages does not allocate a message.
ALLOCATIONS_NONE = 1e-4

COUNTED = ["idle", "counts"]  # not taken in turns: memory, system calls, allocations
NAMES = [scenario.name for scenario in SCENARIOS] + COUNTED
