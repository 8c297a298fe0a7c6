"""bench/idle.py - what silent connections cost in user space: as many on one process as it has descriptors for, and 40,000 over three.

Each has had 1 KiB echoed four times, and is silent. A figure is (RSS at the last connection - RSS at the 1,000th) / those between, as
smaps_rollup has it, all of `wsring serve`, which itself keeps nothing for a silent connection. Python's standard library only.
"""
import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from lib.certificate import make_certificate
from lib.machine import choose_cores, describe, headline
from lib.report import goal
from lib.scenarios import IDLE_GOAL_BYTES
from lib.servers import Server, bind_life, end_on_signals, running

FIRST, SPARE_DESCRIPTORS = 1000, 500
# What is measured: a name, processes, connections of all of them together (0: as many as one process may have), and both ends' options.
KINDS = [("one", 1, 0, [], []), ("three", 3, 40000, [], []), ("deflate", 1, 10000, [], ["--deflate"]), ("tls", 1, 5000, ["--tls-cert", "CERTIFICATE"], ["--tls"])]


def start_load(options, server, connections, core, arguments):
    command = [str(options.build / "bench/idle_load"), "--first", str(FIRST), "--last", str(connections), "--hold", *arguments,
               "--target", f"ws:{server.port}:{server.process.pid}"]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, preexec_fn=bind_life(core))


def measure(options, kind, load_core, server_core, certificate):
    """What each process's load reports, once the connections of all of them were open at the same time."""
    _, processes, wanted, serve, load = kind
    each = -(-wanted // processes) if wanted else options.connections
    command = [str(options.build / "wsring"), "serve", "--port", "{port}", "--quiet", "--idle-timeout=1h", f"--connections={each + 16}",
               *[str(certificate) if word == "CERTIFICATE" else word for word in serve]]
    servers, loads = [Server(f"wsring {i + 1}", "ws", command) for i in range(processes)], []
    with running(servers, server_core):
        try:
            loads = [start_load(options, server, each, load_core, load) for server in servers]
            for process in loads:
                if process.stdout.readline() != "open\n":
                    raise RuntimeError("its load failed")
            for process in loads:
                process.stdin.close()
            return each, [json.loads(process.stdout.readline()) for process in loads]
        finally:
            for process in loads:
                process.kill()
                process.wait()


def main():
    parser = argparse.ArgumentParser(prog="make bench-idle ARGS=", description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--connections", type=int, help="on the one process (as many as it has descriptors for, 19,500 at most)")
    parser.add_argument("--only", action="append", choices=[kind[0] for kind in KINDS], help="repeat it for several")
    options = parser.parse_args()
    end_on_signals()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    room = min(hard - SPARE_DESCRIPTORS, 19500)
    options.connections = options.connections or room
    if options.connections > room:
        parser.error(f"--connections {options.connections}: a process may have {hard} descriptors (ulimit -Hn), so {room} at most")
    load_core, server_core, cores = choose_cores()
    print(headline(describe(load_core, server_core, cores)))
    print(f"  {'kind':<10}{'processes x connections':>25}{'RSS at 1,000':>14}{'RSS at the last':>17}{'B/connection':>14}")
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        certificate = make_certificate(Path(folder))
        for kind in KINDS:
            if options.only and kind[0] not in options.only:
                continue
            if -(-kind[2] // kind[1]) > room:
                print(f"  {kind[0]:<10} left out: a process may have {hard} descriptors (ulimit -Hn)")
                continue
            try:
                each, results = measure(options, kind, load_core, server_core, certificate)
            except RuntimeError as problem:
                print(f"  {kind[0]:<10} failed: {problem}")
                failed = True
                continue
            first, last = (sum(result[key] for result in results) for key in ("first_bytes", "last_bytes"))
            slope = (last - first) / (len(results) * (each - FIRST))
            print(f"  {kind[0]:<10}{f'{kind[1]} x {each}':>25}{first / 2**20:>10.1f} MiB{last / 2**20:>13.1f} MiB{slope:>14.0f}", flush=True)
            if not kind[3] and not kind[4]:
                print(goal(f"idle-{kind[0]}-bytes", f"{slope:.0f}", IDLE_GOAL_BYTES, "ok" if slope <= IDLE_GOAL_BYTES else "short"), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
