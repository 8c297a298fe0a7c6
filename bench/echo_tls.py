"""bench/echo_tls.py - our echo over TLS against those of bun and libwebsockets: server CPU per message, as ratios.

All speak TLS 1.3 with TLS_AES_128_GCM_SHA256, the one suite that the load offers, and have the same certificate. As bench/echo.py,
which has the least of echoes beside ours; there is no such thing over TLS, so here the others are what we are compared with. How to
read the figures: bench/README.md. Python's standard library, and the openssl command.
"""
import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from lib.certificate import make_certificate
from lib.machine import choose_cores, describe, headline, stolen_share
from lib.peers import find_peers
from lib.servers import Server, end_on_signals
from lib.stats import cpu_us, interval, paired, rate, ratio_text, totals, usage, verdict
from lib.turns import Plan, Progress, run_rounds

OURS = "wsring"
OTHERS = ("bun", "libwebsockets")
WAITED_WARNING = 0.05

# name, connections, payload bytes; one message in flight on each connection. The goal: CPU per message of ours over theirs, at most.
SCENARIOS = [("20Bx100", 100, 20), ("1KiBx200", 200, 1024), ("64KiBx20", 20, 65536)]
WANTED = 1.00


def servers_for(options, certificate):
    build = Path(options.build)
    servers = [Server(OURS, "ws", [str(build / "wsring"), "serve", "--host", "127.0.0.1", "--port", "{port}", "--tls-cert", str(certificate), "--quiet"])]
    for peer in find_peers(build):
        if peer.name in OTHERS and peer.is_here():
            servers.append(Server(peer.name, "ws", [*map(str, peer.command), "{port}", "--tls", str(certificate)], peer.env))
    return servers


def summarise(rounds, names):
    """Medians of each server, and ours by theirs."""
    return {name: {"cpu_us": statistics.median(totals(rounds, name, cpu_us)), "messages_per_second": statistics.median(totals(rounds, name, rate)),
                   "cpu_ratio": interval(paired(rounds, OURS, name, cpu_us)), "rate_ratio": interval(paired(rounds, OURS, name, rate)),
                   **usage(rounds, name)} for name in names}


def print_scenario(scenario, rounds, summary):
    name, connections, payload = scenario
    print(f"\n{name}: {payload} B binary x {connections} connections, TLS_AES_128_GCM_SHA256; {len(rounds)} rounds")
    print(f"  {'server':<15}{'CPU us/msg':>11}{'messages/s':>12}   {'ours / it, CPU [95 %]':<24}{'rate [95 %]':<22}"
          f"{'sleeps':>7}{'busy':>6}{'load':>6}{'waited':>8}")
    for server, s in summary.items():
        print(f"  {server:<15}{s['cpu_us']:>11.3f}{s['messages_per_second']:>12.0f}   {ratio_text(s['cpu_ratio']):<24}"
              f"{ratio_text(s['rate_ratio']):<22}{s['sleeps']:>7.2f}{s['server_busy']:>6.0%}{s['load_busy']:>6.0%}{s['load_waited']:>8.1%}")
    waited = max(s["load_waited"] for s in summary.values())
    if waited > WAITED_WARNING:
        print(f"  warning: other programs took the load's core for {waited:.0%} of the time; the medians bear some of that, not much")
    sys.stdout.flush()


def goal_line(scenario, name, summary):
    if name not in summary: # nothing was measured: that is not good enough
        return f"goal echo-tls-{scenario[0]}-cpu-{name} - {WANTED:.2f} short"
    ratio = summary[name]["cpu_ratio"]
    return f"goal echo-tls-{scenario[0]}-cpu-{name} {ratio[0]:.3f} {WANTED:.2f} {verdict(ratio, WANTED)}"


def parse(arguments):
    parser = argparse.ArgumentParser(prog="bench/echo-tls.sh BUILD_FOLDER", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--build", default="build/release", help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=20, help="of each scenario [20; fewer than 6 have no 95 %% interval]")
    parser.add_argument("--seconds", type=float, default=0.5, help="a server and round [0.5]")
    parser.add_argument("--slices", type=int, default=10, help="pieces that a server's share of a round is cut into [10]")
    parser.add_argument("--rounds-per-start", type=int, default=5, help="rounds before the servers are started anew [5]")
    parser.add_argument("--only", action="append", choices=[s[0] for s in SCENARIOS], help="this scenario only; may be repeated")
    parser.add_argument("--json", metavar="FILE", help="write everything that was measured")
    parser.add_argument("--no-spin", dest="spin", action="store_false", help="let the load sleep when there is nothing to read")
    parser.add_argument("--no-brake", dest="brake", action="store_false", help="leave the servers all of their core")
    return parser.parse_args(arguments)


def measure(options, plan, folder, document):
    goals = []
    certificate = make_certificate(Path(folder))
    for scenario in SCENARIOS:
        if options.only and scenario[0] not in options.only:
            continue
        name, connections, payload = scenario
        servers = servers_for(options, certificate)
        rounds = run_rounds(plan, name, "echo_load", ["--tls", "--connections", str(connections), "--payload", str(payload)], servers)
        summary = summarise(rounds, [server.name for server in servers])
        print_scenario(scenario, rounds, summary)
        goals += [goal_line(scenario, other, summary) for other in OTHERS]
        document["scenarios"][name] = {"summary": summary, "wanted": WANTED, "rounds": rounds}
    return goals


def main():
    options = parse(sys.argv[1:])
    end_on_signals()
    load_core, server_core, cores = choose_cores()
    host = describe(load_core, server_core, cores)
    print(headline(host))
    for peer in find_peers(Path(options.build)):
        if peer.name in OTHERS:
            print(f"  {peer.name}: {peer.version() if peer.is_here() else 'not here'}")
    # A load that seals is a load that works harder: two brakes, not one, so that it is the servers that are waited for.
    plan = Plan(Path(options.build), load_core, server_core, options.rounds, options.seconds, options.slices, options.rounds_per_start,
                options.spin, options.brake, 2, False, Progress())
    stolen, ticks = stolen_share()
    document = {"machine": host, "rounds": options.rounds, "seconds": options.seconds, "slices": options.slices, "scenarios": {}}
    with tempfile.TemporaryDirectory(prefix="wsring-bench-") as folder:
        goals = measure(options, plan, folder, document)
    stolen, ticks = (b - a for a, b in zip((stolen, ticks), stolen_share()))
    document["stolen"] = stolen / max(ticks, 1)
    document["goals"] = goals
    print(f"\nstolen by the hypervisor: {document['stolen']:.1%} of all cores' time")
    print("\n".join(goals))
    if options.json:
        Path(options.json).write_text(json.dumps(document) + "\n")


if __name__ == "__main__":
    try:
        main()
    except (RuntimeError, subprocess.CalledProcessError) as problem:
        sys.exit(f"bench/echo-tls: {problem}")
