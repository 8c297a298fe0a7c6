"""bench/echo.py - our echo against the raw TCP echoes: server CPU per message and messages per second, as ratios.

Not the load and not a server: those are C (echo_load.c, raw_epoll.c, raw_uring.c, and `wsring serve`). This starts them, each on
its core, does the statistics and prints one line a goal. How to read the figures: bench/README.md. Python's standard library only.
"""
import argparse
import json
import shlex
import statistics
import sys
from pathlib import Path

from lib.machine import choose_cores, describe, headline, stolen_share
from lib.servers import Server, end_on_signals
from lib.stats import better, cpu_us, cycles, interval, paired, rate, ratio_text, totals, usage, verdict
from lib.turns import Plan, Progress, frame_bytes, raw_echoes, run_rounds

OURS = "wsring"
RAW = ("raw-uring", "raw-epoll")
WAITED_WARNING = 0.05

# name, connections, payload bytes, depth, text, and the goal: CPU per message of ours over the better raw echo, at most.
SCENARIOS = [
    ("20Bx100", 100, 20, 1, False, 1.04),
    ("20Bx50x16", 50, 20, 16, False, 1.08),
    ("1KiBx200", 200, 1024, 1, False, 1.05),
    ("64KiBx20", 20, 65536, 1, False, 1.05),
    ("1MiBx4", 4, 1048576, 1, True, 1.10),
]


def servers_for(options, scenario):
    _, _, payload, _, _, _ = scenario
    build = Path(options.build)
    servers = []
    if options.ours:
        servers.append(Server(OURS, "ws", [str(build / "wsring"), "serve", "--host", "127.0.0.1", "--port", "{port}", "--quiet"]))
    servers += raw_echoes(build, payload)
    for peer in options.peer:
        name, _, command = peer.partition("=")
        if not command:
            raise SystemExit(f"--peer {peer}: NAME=COMMAND is wanted")
        servers.append(Server(name, "ws", shlex.split(command)))
    return servers


def run_scenario(plan, options, scenario):
    """Returns a list of rounds, each {server name: [slice, ...]}."""
    name, connections, payload, depth, text, _ = scenario
    arguments = ["--connections", str(connections), "--payload", str(payload), "--depth", str(depth)] + (["--text"] if text else [])

    def check(report):
        if report["in_bytes"] != frame_bytes(payload, True) or report["out_bytes"] != frame_bytes(payload, False):
            raise RuntimeError("the load and the raw echoes disagree on the bytes of a message")

    return run_rounds(plan, name, "echo_load", arguments, servers_for(options, scenario), check=check)


def summarise(rounds, names):
    """Medians of each server, and which raw echo is the better one."""
    summary = {}
    for name in names:
        summary[name] = {
            "messages_per_second": statistics.median(totals(rounds, name, rate)),
            "cpu_us": statistics.median(totals(rounds, name, cpu_us)),
            "cycles": statistics.median(totals(rounds, name, cycles)),
            **usage(rounds, name),
        }
    base = better(rounds, *RAW)
    for name in names:
        summary[name]["cpu_ratio"] = interval(paired(rounds, name, base, cpu_us))
        summary[name]["rate_ratio"] = interval(paired(rounds, name, base, rate))
        if summary[name]["cycles"]:
            summary[name]["cycles_ratio"] = interval(paired(rounds, name, base, cycles))
    return summary, base


# --- Output -------------------------------------------------------------------------------------------------------------------


def print_scenario(scenario, rounds, summary, base):
    name, connections, payload, depth, text, _ = scenario
    print(f"\n{name}: {payload} B {'text' if text else 'binary'} x {connections} connections, depth {depth}; "
          f"{frame_bytes(payload, True)} bytes in, {frame_bytes(payload, False)} out; {len(rounds)} rounds; ratios to {base}")
    has_cycles = "cycles_ratio" in summary[base]
    print(f"  {'server':<12}{'CPU us/msg':>11}{'messages/s':>12}   {'CPU ratio [95 %]':<22}{'rate ratio [95 %]':<22}"
          f"{'sleeps':>7}{'busy':>6}{'load':>6}{'waited':>8}" + ("   cycles/msg  ratio [95 %]" if has_cycles else ""))
    for server, s in summary.items():
        line = (f"  {server:<12}{s['cpu_us']:>11.3f}{s['messages_per_second']:>12.0f}   {ratio_text(s['cpu_ratio']):<22}"
                f"{ratio_text(s['rate_ratio']):<22}{s['sleeps']:>7.2f}{s['server_busy']:>6.0%}{s['load_busy']:>6.0%}"
                f"{s['load_waited']:>8.1%}")
        if has_cycles:
            line += f"   {s['cycles']:>10.0f}  {ratio_text(s['cycles_ratio'])}"
        print(line)
    waited = max(s["load_waited"] for s in summary.values())
    if waited > WAITED_WARNING:
        print(f"  warning: other programs took the load's core for {waited:.0%} of the time; the medians bear some of that, not much")
    sys.stdout.flush()


def goal_line(scenario, summary):
    ratio = summary[OURS]["cpu_ratio"]
    return f"goal echo-{scenario[0]}-cpu {ratio[0]:.3f} {scenario[5]:.2f} {verdict(ratio, scenario[5])}"


def parse(arguments):
    parser = argparse.ArgumentParser(prog="bench/echo.sh BUILD_FOLDER", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--build", default="build/release", help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=30, help="of each scenario [30; fewer than 6 have no 95 %% interval]")
    parser.add_argument("--seconds", type=float, default=0.5, help="a server and round [0.5]")
    parser.add_argument("--slices", type=int, default=10, help="pieces that a server's share of a round is cut into [10]")
    parser.add_argument("--rounds-per-start", type=int, default=5, help="rounds before the servers are started anew [5]")
    parser.add_argument("--only", action="append", choices=[s[0] for s in SCENARIOS], help="this scenario only; may be repeated")
    parser.add_argument("--json", metavar="FILE", help="write everything that was measured")
    parser.add_argument("--no-spin", dest="spin", action="store_false", help="let the load sleep when there is nothing to read")
    parser.add_argument("--no-brake", dest="brake", action="store_false", help="leave the servers all of their core")
    parser.add_argument("--cycles", action="store_true", help="count cycles too (perf_event_open): adds to the cost of task switches")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=COMMAND",
                        help="one more WebSocket echo; its command has {port}, and prints `listening on ws://HOST:PORT`")
    parser.add_argument("--no-ours", dest="ours", action="store_false", help="leave our own server out: the raw echoes and peers only")
    options = parser.parse_args(arguments)
    if options.rounds < 1 or options.slices < 1 or options.rounds_per_start < 1 or not 0.001 <= options.seconds / options.slices <= 60:
        parser.error("at least 1 round and slice, and 1 ms to 60 s a slice, are wanted")
    return options


def main():
    options = parse(sys.argv[1:])
    end_on_signals()
    load_core, server_core, cores = choose_cores()
    host = describe(load_core, server_core, cores)
    print(headline(host))
    if cores < 2:
        print("warning: fewer than 2 cores: load and servers share one, and these figures mean little", flush=True)
        options.spin = options.brake = False
    plan = Plan(Path(options.build), load_core, server_core, options.rounds, options.seconds, options.slices, options.rounds_per_start,
                options.spin, options.brake, cycles=options.cycles, progress=Progress())
    stolen, ticks = stolen_share()

    goals, document = [], {"machine": host, "rounds": options.rounds, "seconds": options.seconds, "slices": options.slices,
                       "spin": options.spin, "brake": options.brake, "scenarios": {}}
    for scenario in SCENARIOS:
        if options.only and scenario[0] not in options.only:
            continue
        rounds = run_scenario(plan, options, scenario)
        summary, base = summarise(rounds, list(dict.fromkeys([s.name for s in servers_for(options, scenario)])))
        print_scenario(scenario, rounds, summary, base)
        if options.ours:
            goals.append(goal_line(scenario, summary))
        document["scenarios"][scenario[0]] = {"better_raw": base, "summary": summary, "wanted": scenario[5], "rounds": rounds}

    stolen, ticks = (b - a for a, b in zip((stolen, ticks), stolen_share()))
    document["stolen"] = stolen / max(ticks, 1)
    print(f"\nstolen by the hypervisor: {document['stolen']:.1%} of all cores' time")
    print("\n".join(goals))
    document["goals"] = goals
    if options.json:
        Path(options.json).write_text(json.dumps(document) + "\n")


if __name__ == "__main__":
    try:
        main()
    except RuntimeError as problem:
        sys.exit(f"bench/echo: {problem}")
