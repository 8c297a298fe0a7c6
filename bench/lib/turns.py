"""bench/lib/turns.py - servers that take turns under one load, round after round, in shuffled order."""
import json
import random
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from lib.servers import Server, bind_life, running

KEY_BYTES = 4  # the masking key: in every frame of a client's, in none of a server's (RFC 6455 section 5.1)


def frame_bytes(payload, masked):
    """Bytes on the wire of one message (RFC 6455 section 5.2)."""
    header = 2 if payload < 126 else 4 if payload < 65536 else 10
    return header + (KEY_BYTES if masked else 0) + payload


def raw_echoes(build, payload):
    """What sends the bytes of such messages back over raw TCP."""
    sizes = ["--port", "{port}", "--in", str(frame_bytes(payload, True)), "--out", str(frame_bytes(payload, False))]
    return [Server(name, "raw", [str(build / "bench" / name.replace("-", "_")), *sizes]) for name in ("raw-uring", "raw-epoll")]


def raw_servers(build, scenario):
    """The limit of a scenario, as far as there is a program for it."""
    if scenario.raw_payload >= 0:
        echoes = raw_echoes(build, scenario.raw_payload)
        spinning = [Server("raw-spin", "raw", [*echoes[-1].command, "--spin"])] if scenario.raw_spins else []
        return echoes + spinning
    return [Server("raw-uring", "ws", [str(build / "bench/raw_upgrade"), "{port}"])] if scenario.program == "upgrade_load" else []


@dataclass
class Plan:
    """How to measure, the same for every scenario."""

    build: Path
    load_core: int
    server_core: int
    rounds: int = 30
    seconds: float = 0.5  # a server and round
    slices: int = 10  # pieces that a server's share of a round is cut into
    rounds_per_start: int = 5  # new processes now and then: where a program happens to lie in memory is luck, and should not last
    spin: bool = True
    brake: bool = True
    brakes: int = 1  # the more, the less of their core is left to the servers (lib/cost.h)
    cycles: bool = False
    progress: object = field(default=None)


class Progress:
    """A line on a terminal that says where we are; without one, a line of a log now and then."""

    def __init__(self, estimate_seconds=0):
        self.begin = self.logged = time.monotonic()
        self.estimate = estimate_seconds

    def say(self, text):
        gone = time.monotonic() - self.begin
        left = f", {gone / 60:.0f} of about {self.estimate / 60:.0f} min" if self.estimate else ""
        if sys.stderr.isatty():
            print(f"\r\033[K{text}{left} ", end="", file=sys.stderr, flush=True)
        elif time.monotonic() - self.logged >= 30:
            self.logged = time.monotonic()
            print(f"... {text}{left}", file=sys.stderr, flush=True)

    @staticmethod
    def clear():
        if sys.stderr.isatty():
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def run_program(command, core, patience):
    """Runs a load on its core; returns what it printed, as JSON."""
    load = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, preexec_fn=bind_life(core))
    try:
        output, _ = load.communicate(timeout=patience)
    except subprocess.TimeoutExpired as problem:
        raise RuntimeError(f"the load did not end: {shlex.join(command)}") from problem
    finally:
        if load.poll() is None:
            load.kill()
            load.wait()
    if load.returncode != 0:
        raise RuntimeError(f"the load failed: {shlex.join(command)}")
    return json.loads(output)


def run_load(plan, program, arguments, servers, slices=None):
    """One round: every server in turn, in slices. Returns what the load reports, and {server name: [slice, ...]}."""
    slices = slices or plan.slices
    command = [str(plan.build / "bench" / program), *arguments]
    command += ["--slices", str(slices), "--seconds", str(plan.seconds / plan.slices), "--seed", str(random.getrandbits(32))]
    command += ["--spin"] if plan.spin else []
    command += ["--brake", str(plan.server_core), "--brakes", str(plan.brakes)] if plan.brake else []
    command += ["--cycles"] if plan.cycles else []
    for server in servers:
        command += ["--target", f"{server.mode}:{server.port}:{server.process.pid}"]
    report = run_program(command, plan.load_core, 90 + 2 * plan.seconds * len(servers))
    return report, {server.name: target["slices"] for server, target in zip(servers, report["targets"])}


def run_rounds(plan, name, program, arguments, servers, guests=(), guests_every=5, check=None):
    """A list of rounds. Servers take part in each, guests in every so many: what needs no narrow interval need not cost the time."""
    rounds = []
    while len(rounds) < plan.rounds:
        with running(servers, plan.server_core):
            for _ in range(min(plan.rounds_per_start, plan.rounds - len(rounds))):
                with_guests = guests if (len(rounds) + 1) % guests_every == 0 else ()
                with running(with_guests, plan.server_core):
                    taking_turns = [*servers, *with_guests]
                    random.shuffle(taking_turns)
                    report, round_ = run_load(plan, program, arguments, taking_turns)
                if check:
                    check(report)
                rounds.append(round_)
                if plan.progress:
                    plan.progress.say(f"{name}: round {len(rounds)} of {plan.rounds}")
    if plan.progress:
        plan.progress.clear()
    return rounds
