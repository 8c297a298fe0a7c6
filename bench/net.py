"""bench/net.py - our server against those that apt and npm give, and against raw TCP: CPU, latency, memory, system calls.

What is measured, and the goals, are in lib/scenarios.py; how to read the figures: bench/README.md. Python's standard library only.
"""
import argparse
import json
import os
import re
import resource
import statistics
import struct
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from lib import scenarios, verify
from lib.certificate import make_certificate
from lib.machine import choose_cores, describe, headline, stolen_share
from lib.peers import find_peers, first_line
from lib.report import draw_costs, goal, missing_goal, print_scenario, ratio_goal, summarise
from lib.scenarios import BETTER_RAW, FIGURES, SCENARIOS
from lib.servers import Server, end_on_signals, running
from lib.stats import better, disturbed, interval, paired, ratio_text, verdict
from lib.turns import Plan, Progress, frame_bytes, raw_echoes, raw_servers, run_load, run_program, run_rounds

OURS = "wsring"
RAW, SPINNING = ("raw-uring", "raw-epoll"), "raw-spin"
HOSTS = (OURS, *RAW, SPINNING, "bun", "uws")  # those that goals name take part in each round; all others are guests
GUESTS_EVERY, GUESTS_EVERY_QUICK, QUICK_ROUNDS = 5, 3, 10
START_SECONDS = 0.4  # about what it takes to start a server and connect to it
IDLE_RUNS, COUNT_ROUNDS, COUNT_GUESTS_EVERY, COUNT_BRAKES, ALLOCATION_RUNS = 3, 18, 9, 3, 3
DESCRIPTORS = 12000
DISTURBED = 0.01  # of a slice's time: a p99 is then that of whoever else had the core


class Bench:
    """The run: its plan, who takes part, and what was found so far."""

    def __init__(self, plan, host, certificate):
        self.plan, self.certificate = plan, certificate
        self.serve = [str(plan.build / "wsring"), "serve", "--host", "127.0.0.1", "--port", "{port}", "--quiet"]
        self.peers, self.absent = [], {}
        self.goals, self.limits = [], []
        self.document = {"machine": host, "rounds": plan.rounds, "seconds": plan.seconds, "versions": {}, "absent": self.absent,
                         "scenarios": {}}

    def ours(self, scenario=None):
        if scenario and scenario.program == "fan_load":
            return Server(OURS, "ws", [str(self.plan.build / "bench/fan"), "{port}"])
        return Server(OURS, "ws", self.serve + (scenario.serve if scenario else []) +
                      (["--tls-cert", str(self.certificate)] if scenario and scenario.tls else []))

    def servers(self, scenario):
        """Who takes part in every round, and who now and then."""
        everybody = [self.ours(scenario), *raw_servers(self.plan.build, scenario)]
        everybody += [peer.server(scenario.deflate, self.certificate if scenario.tls else None) for peer in self.peers
                      if not peer.lacks & needs(scenario)]
        return [s for s in everybody if s.name in HOSTS], [s for s in everybody if s.name not in HOSTS]

    @staticmethod
    def say(text):
        print(text, flush=True)


def needs(scenario):
    """What a server must be able to, beyond echoing."""
    return {what for what, needed in (("deflate", scenario.deflate), ("tls", scenario.tls), ("fan", scenario.program == "fan_load")) if needed}


# --- Who is here, and does it do what it is to be timed for ---------------------------------------------------------------------


class Extra:
    """--peer NAME=COMMAND."""

    def __init__(self, text):
        self.name, _, command = text.partition("=")
        if not self.name or "{port}" not in command:
            raise SystemExit(f"--peer {text}: NAME=COMMAND is wanted, with {{port}} in it")
        self.command, self.lacks = command.split(), {"tls"}

    def is_here(self):
        return True

    def version(self):
        return " ".join(self.command)

    def server(self, deflate=False, certificate=None):
        del certificate
        return Server(self.name, "ws", self.command + (["--deflate"] if deflate else []))


def trouble(server, core, check):
    """What is wrong with a server, or ""."""
    try:
        with running([server], core):
            check(server.port)
    except (verify.Wrong, OSError, RuntimeError) as problem:
        return str(problem) or type(problem).__name__
    return ""


def compressed(port):
    verify.check_echo(port, deflate=True)


def sealed(port):
    verify.check_echo(port, tls=True)


def verify_ours(bench):
    """Our own, and the raw echoes, must be right: otherwise there is nothing to measure."""
    fan = next(scenario for scenario in SCENARIOS if scenario.program == "fan_load")
    raw_uring, raw_epoll = raw_echoes(bench.plan.build, 1024)
    sizes = frame_bytes(1024, True), frame_bytes(1024, False)
    tls = next(scenario for scenario in SCENARIOS if scenario.tls)
    for server, check in ((bench.ours(), verify.check_echo), (bench.ours(), compressed), (bench.ours(tls), sealed),
                          (bench.ours(fan), verify.check_fan), (raw_uring, lambda port: verify.check_raw(port, *sizes)),
                          (raw_epoll, lambda port: verify.check_raw(port, *sizes))):
        wrong = trouble(server, bench.plan.server_core, check)
        if wrong:
            raise RuntimeError(f"{server.name}: {wrong}")


def verify_peers(bench, candidates):
    """A peer that is not here, or not right, is left out, and said so."""
    core = bench.plan.server_core
    for peer in candidates:
        if not peer.is_here():
            bench.absent[peer.name] = "not installed (tools/setup.sh bench)"
            continue
        wrong = trouble(peer.server(), core, verify.check_echo)
        if wrong:
            bench.absent[peer.name] = wrong
            continue
        for what, server, check in (("fan", peer.server(), verify.check_fan), ("deflate", peer.server(deflate=True), compressed),
                                    ("tls", peer.server(certificate=bench.certificate), sealed)):
            wrong = "" if what in peer.lacks else trouble(server, core, check)
            if wrong:
                peer.lacks.add(what)
                bench.absent[f"{peer.name}, {what}"] = wrong
        bench.peers.append(peer)
        bench.document["versions"][peer.name] = peer.version()


# --- Scenarios in turns -----------------------------------------------------------------------------------------------------------


def run_turns(bench, scenario):
    """Rounds of a closed loop, all servers at full load (README.md)."""
    plan = replace(bench.plan, slices=scenario.slices, brakes=scenario.brakes)
    hosts, guests = bench.servers(scenario)
    return run_rounds(plan, scenario.name, scenario.program, scenario.arguments, hosts, guests, guests_every(plan))


def run_latency(bench, scenario):
    """Rounds of slices that are long enough for a quantile. Nobody is held back: no brake."""
    a_round = scenario.slices
    plan = replace(bench.plan, slices=a_round, seconds=bench.plan.seconds * scenario.seconds_factor, brake=False)
    hosts, guests = bench.servers(scenario)
    rounds = []
    while len(rounds) < plan.rounds:
        n = min(plan.rounds_per_start, plan.rounds - len(rounds))
        servers = hosts + (guests if not rounds else [])
        with running(servers, plan.server_core):
            _, slices = run_load(plan, scenario.program, scenario.arguments, servers, n * a_round)
        rounds += [{name: pieces[i * a_round:(i + 1) * a_round] for name, pieces in slices.items()} for i in range(n)]
        plan.progress.say(f"{scenario.name}: round {len(rounds)} of {plan.rounds}")
    plan.progress.clear()
    return rounds


def undisturbed(rounds):
    """The same without what somebody else's programs got in the way of."""
    return [{name: [piece if disturbed(piece) <= DISTURBED else None for piece in pieces] for name, pieces in r.items()} for r in rounds]


def left_out(rounds):
    """The share of None among the slices."""
    pieces = [piece for r in rounds for of_server in r.values() for piece in of_server]
    return pieces.count(None) / len(pieces)


def guests_every(plan):
    return min(GUESTS_EVERY if plan.rounds > QUICK_ROUNDS else GUESTS_EVERY_QUICK, plan.rounds)


def turns_goals(scenario, rounds, here):
    """One line a goal; against uWebSockets itself only where it takes part."""
    lines = []
    for against, wanted in scenario.goals.items():
        theirs = better(rounds, *RAW) if against == BETTER_RAW and rounds else against
        name = f"net-{scenario.name}-{scenario.goal_figure}-{against.replace('raw-uring', 'raw')}"
        ratios = paired(undisturbed(rounds) if scenario.latency else rounds, OURS, theirs, FIGURES[scenario.goal_figure])
        if ratios:
            lines.append(ratio_goal(name, interval(ratios), wanted))
        elif any(theirs in r for r in rounds):
            lines.append(goal(name, "-", f"{wanted:.2f}", "unclear"))
        elif against != "uws" or against in here:
            lines.append(missing_goal(name, f"{wanted:.2f}"))
    return lines


def turns_limits(scenario, rounds):
    """One line a goal that asks for less than the raw programs need, in this run."""
    lines = []
    for against, wanted in scenario.goals.items():
        if against in (*RAW, BETTER_RAW):
            continue
        found = {raw: interval(ratios) for raw in (*RAW, SPINNING)
                 if (ratios := paired(undisturbed(rounds) if scenario.latency else rounds, raw, against, FIGURES[scenario.goal_figure]))}
        if found:
            raw = min(found, key=lambda name: found[name][0])
            if found[raw][0] > wanted:
                lines.append(f"  {scenario.name}, {scenario.goal_figure} by {against}: {wanted:.2f} is wanted; {raw}, which is no WebSocket server, is at "
                             f"{ratio_text(found[raw])}")
    return lines


def measure_turns(bench, scenario):
    rounds = []
    try:
        rounds = (run_latency if scenario.latency else run_turns)(bench, scenario)
    except RuntimeError as problem:
        bench.say(f"\n{scenario.name}: failed: {problem}")
    hosts, guests = bench.servers(scenario)
    names = [server.name for server in hosts + guests]
    if rounds:
        kept = undisturbed(rounds) if scenario.latency else rounds
        summary = summarise(scenario, kept, names, OURS)
        print_scenario(scenario, rounds, summary, left_out(kept))
        bench.document["scenarios"][scenario.name] = {"title": scenario.title, "unit": scenario.unit, "latency": scenario.latency,
                                                      "summary": summary, "rounds": rounds}
    bench.goals += turns_goals(scenario, rounds, names)
    bench.limits += turns_limits(scenario, rounds)


# --- Memory of connections that are silent ------------------------------------------------------------------------------------------


def measure_idle(bench):
    """RSS at 1,000 and at 10,000 connections. Pages are counted, not sampled: a few times ours, once the others."""
    first, last = 1000, 10000
    bench.say(f"\nidle: resident memory after traffic, of the process, at {first} and at {last} connections")
    bench.say(f"  {'server':<15}{'at start':>12}{f'at {first}':>12}{f'at {last}':>12}{'B/connection':>14}{'fixed':>12}")
    results, ours = {}, bench.ours()
    servers = [bench.ours() for _ in range(IDLE_RUNS)] + [peer.server() for peer in bench.peers]
    for server in servers:
        bench.plan.progress.say(f"idle: {server.name}")
        try:
            with running([server], bench.plan.server_core):
                result = run_program([str(bench.plan.build / "bench/idle_load"), "--first", str(first), "--last", str(last), "--target",
                                      f"ws:{server.port}:{server.process.pid}"], bench.plan.load_core, 120)
        except RuntimeError as problem:
            bench.say(f"  {server.name}: failed: {problem}")
            continue
        bench.plan.progress.clear()
        result["fixed_bytes"] = result["first_bytes"] - result["slope_bytes"] * first
        results.setdefault(server.name, []).append(result)
        mib = {key: f"{result[key + '_bytes'] / 2**20:.1f} MiB" for key in ("start", "first", "last", "fixed")}
        bench.say(f"  {server.name:<15}{mib['start']:>12}{mib['first']:>12}{mib['last']:>12}{result['slope_bytes']:>14.0f}{mib['fixed']:>12}")
    bench.document["idle"] = results
    slopes = [result["slope_bytes"] for result in results.get(ours.name, [])]
    if not slopes:
        bench.goals.append(missing_goal("net-idle-bytes", scenarios.IDLE_GOAL_BYTES))
        return
    spread = statistics.median(slopes), min(slopes), max(slopes)
    bench.goals.append(goal("net-idle-bytes", f"{spread[0]:.0f}", scenarios.IDLE_GOAL_BYTES, verdict(spread, scenarios.IDLE_GOAL_BYTES)))


# --- Counts: system calls, allocations ------------------------------------------------------------------------------------------------


def syscalls_event():
    """The number of the tracepoint that counts system calls, or 0 where it is not to be had."""
    for folder in ("/sys/kernel/tracing", "/sys/kernel/debug/tracing"):
        try:
            return int(Path(folder, "events/raw_syscalls/sys_enter/id").read_text())
        except (OSError, ValueError):
            continue
    return 0


def count_syscalls(bench, scenario):
    """System calls a message of everybody, by the kernel's tracepoint; of ours without it, by our own counter."""
    event = syscalls_event()
    # In one piece, since at the end of each windows run empty and a call brings less; and CPU time is of no interest here.
    plan = replace(bench.plan, slices=1, rounds=COUNT_ROUNDS, seconds=bench.plan.seconds / 2, brakes=COUNT_BRAKES)
    arguments = scenario.arguments + (["--syscalls", str(event)] if event else [])
    hosts, guests = bench.servers(scenario)
    if event:
        rounds = run_rounds(plan, "system calls", scenario.program, arguments, hosts, guests, COUNT_GUESTS_EVERY)
        return {s.name: [sum(p["server_syscalls"] for p in r[s.name]) / sum(p["units"] for p in r[s.name]) for r in rounds if s.name in r]
                for s in hosts + guests}
    bench.say("  (no tracepoint: mount -t tracefs none /sys/kernel/tracing; ours counts its own)")
    figures = []
    for _ in range(COUNT_ROUNDS):
        server = Server(OURS, "ws", bench.serve + ["--stats"])
        with running([server], plan.server_core):
            run_load(plan, scenario.program, arguments, [server])
        said = re.search(r"messages in (\d+) .* enters (\d+)", server.last_words)
        if said:
            figures.append(int(said.group(2)) / int(said.group(1)))
    return {OURS: figures}


def count_allocations(bench, scenario):
    """Calls of malloc and its kin a message: a long run's less a short run's, so that those of the connections cancel out.

    Returns the median of a few, and of each run what it allocated and how many messages it had.
    """
    plan = replace(bench.plan, slices=1)
    runs, ratios = [], []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "count")
        server = bench.ours()
        server.env = {"LD_PRELOAD": str((plan.build / "bench/count_allocations.so").resolve()), "COUNT_ALLOCATIONS": str(path)}
        with running([server], plan.server_core):
            for seconds in (1.0, *(0.2, 1.0) * ALLOCATION_RUNS):  # the first one lets pools grow
                before, = struct.unpack("=Q", path.read_bytes())
                _, slices = run_load(replace(plan, seconds=seconds), scenario.program, scenario.arguments + ["--warm-up", "0"], [server])
                time.sleep(0.2)  # its CLOSED events
                runs.append((struct.unpack("=Q", path.read_bytes())[0] - before, slices[OURS][0]["units"]))
    for (few, few_messages), (many, many_messages) in zip(runs[1::2], runs[2::2]):
        ratios.append(max(0.0, (many - few) / (many_messages - few_messages)))
    return statistics.median(ratios), runs


def measure_counts(bench):
    scenario = next(s for s in SCENARIOS if s.name == "20Bx100")
    bench.say(f"\ncounts: {scenario.title}, at full load")
    goal_name = "net-20Bx100-syscalls"
    try:
        figures = count_syscalls(bench, scenario)
        spread = interval(figures[OURS]) if figures[OURS] else None
    except RuntimeError as problem:
        bench.say(f"  failed: {problem}")
        figures, spread = {}, None
    for name, values in figures.items():
        bench.say(f"  {name:<15}{statistics.median(values):>10.4f} system calls a message")
    bench.goals.append(goal(goal_name, f"{spread[0]:.4f}", scenarios.SYSCALLS_GOAL, verdict(spread, scenarios.SYSCALLS_GOAL)) if spread
                       else missing_goal(goal_name, scenarios.SYSCALLS_GOAL))
    goal_name = "net-20Bx100-allocations"
    try:
        per_message, runs = count_allocations(bench, scenario)
    except RuntimeError as problem:
        bench.say(f"  failed: {problem}")
        bench.goals.append(missing_goal(goal_name, 0))
        return
    bench.say(f"  {OURS:<15}{per_message:>10.6f} allocations a message ({runs[-1][0]} in {runs[-1][1]} messages, {runs[-2][0]} in {runs[-2][1]})")
    bench.document["counts"] = {"syscalls_per_message": figures, "allocations_per_message": per_message, "allocation_runs": runs}
    bench.goals.append(goal(goal_name, f"{per_message:.6f}", 0, "ok" if per_message < scenarios.ALLOCATIONS_NONE else "short"))


# --- All of it ------------------------------------------------------------------------------------------------------------------------


def estimate(bench, wanted):
    """Seconds, roughly."""
    plan, total = bench.plan, 0.0
    for scenario in SCENARIOS:
        if scenario.name not in wanted:
            continue
        hosts, guests = bench.servers(scenario)
        turn = plan.seconds * scenario.seconds_factor + scenario.slices * 0.005 + (0 if scenario.latency else START_SECONDS / 2)
        total += plan.rounds * len(hosts) * turn + plan.rounds / plan.rounds_per_start * len(hosts) * START_SECONDS
        total += plan.rounds / guests_every(plan) * len(guests) * (turn + START_SECONDS)
    total += 4.0 * (IDLE_RUNS + len(bench.peers)) if "idle" in wanted else 0
    total += COUNT_ROUNDS * len(HOSTS) * (plan.seconds / 2 + START_SECONDS / 2) + 10 if "counts" in wanted else 0
    return total


def parse(arguments):
    parser = argparse.ArgumentParser(prog="bench/net.sh BUILD_FOLDER", description=__doc__.split("\n", 1)[0],
                                     epilog="In the environment ROUNDS=N does the same as --rounds N: make bench-net ROUNDS=6")
    parser.add_argument("--build", default="build/release", help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=int(os.environ.get("ROUNDS") or 30),
                        help="of each scenario [30]; fewer than 6 have no 95 %% interval, and leave goals unclear")
    parser.add_argument("--seconds", type=float, help="a server and round [0.5; 0.25 with at most 10 rounds]")
    parser.add_argument("--only", action="append", choices=scenarios.NAMES, metavar="SCENARIO", help=f"this one only; may be repeated: {', '.join(scenarios.NAMES)}")
    parser.add_argument("--without", action="append", default=[], metavar="PEER", help="leave a peer out; may be repeated")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=COMMAND",
                        help="one more server, as those in bench/peers; its command has {port}, and prints `listening on ws://HOST:PORT`")
    parser.add_argument("--json", metavar="FILE", help="write everything that was measured [BUILD_FOLDER/bench/net.json]")
    parser.add_argument("--svg", metavar="FILE", help="draw the CPU figures [BUILD_FOLDER/bench/net.svg]")
    options = parser.parse_args(arguments)
    if options.seconds is None:
        options.seconds = 0.5 if options.rounds > QUICK_ROUNDS else 0.25
    if options.rounds < 1 or not 0.05 <= options.seconds <= 60:
        parser.error("at least 1 round, and 0.05 to 60 s a server, are wanted")
    options.only = options.only or scenarios.NAMES
    return options


def set_up(options, folder):
    load_core, server_core, cores = choose_cores()
    host = describe(load_core, server_core, cores)
    print(headline(host))
    alone = cores >= 2
    if not alone:
        print("warning: fewer than 2 cores: load and servers share one, and these figures mean little", flush=True)
    plan = Plan(Path(options.build), load_core, server_core, options.rounds, options.seconds, spin=alone, brake=alone, progress=Progress())
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if limit < DESCRIPTORS:
        print(f"warning: only {limit} descriptors a process (ulimit -Hn); idle and 20Bx1000 need {DESCRIPTORS}")
    bench = Bench(plan, host, make_certificate(Path(folder)))
    verify_ours(bench)
    candidates = [p for p in find_peers(plan.build) + [Extra(text) for text in options.peer] if p.name not in options.without]
    verify_peers(bench, candidates)
    return bench


def print_versions(bench):
    versions = {OURS: first_line([str(bench.plan.build / "wsring"), "--version"]), **bench.document["versions"]}
    bench.document["versions"] = versions
    for name, version in versions.items():
        bench.say(f"  {name:<15}{version}")
    for name, reason in bench.absent.items():
        bench.say(f"  {name}: left out: {reason}")


def write_results(bench, options):
    folder = bench.plan.build / "bench"
    json_path, svg_path = Path(options.json or folder / "net.json"), Path(options.svg or folder / "net.svg")
    json_path.write_text(json.dumps(bench.document) + "\n")
    written = [str(json_path)]
    if bench.document["scenarios"]:
        trouble_drawing = draw_costs(svg_path, bench.document, [*RAW, *(peer.name for peer in bench.peers)])
        written += [f"no plot: {trouble_drawing}" if trouble_drawing else str(svg_path)]
    bench.say("results: " + ", ".join(written))


def measure(bench, options):
    print_versions(bench)
    bench.plan.progress.estimate = estimate(bench, options.only)
    bench.say(f"{options.rounds} rounds of {options.seconds} s a server: about {bench.plan.progress.estimate / 60:.0f} minutes")
    stolen, ticks = stolen_share()
    for scenario in SCENARIOS:
        if scenario.name in options.only:
            measure_turns(bench, scenario)
    if "idle" in options.only:
        measure_idle(bench)
    if "counts" in options.only:
        measure_counts(bench)
    stolen, ticks = (b - a for a, b in zip((stolen, ticks), stolen_share()))
    bench.document["stolen"], bench.document["goals"], bench.document["limits"] = stolen / max(ticks, 1), bench.goals, bench.limits
    bench.say(f"\nstolen by the hypervisor: {bench.document['stolen']:.1%} of all cores' time")
    write_results(bench, options)
    if bench.limits:
        bench.say("\n".join(["goals below what TCP itself took in this run:", *bench.limits]))
    bench.say("\n".join(bench.goals))


def main():
    options = parse(sys.argv[1:])
    end_on_signals()
    with tempfile.TemporaryDirectory(prefix="wsring-bench-") as folder:
        measure(set_up(options, folder), options)


if __name__ == "__main__":
    try:
        main()
    except RuntimeError as problem:
        sys.exit(f"bench/net: {problem}")
