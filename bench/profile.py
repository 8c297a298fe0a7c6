"""bench/profile.py - where a server's CPU time goes, in microseconds a message: the kernel's TCP, io_uring, and each room of ours.

Beside ours the raw servers, which are the limit: all of them take turns, and perf samples them in the same run. How to read it:
bench/README.md. Python's standard library only.
"""
import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

from lib import scenarios
from lib.machine import choose_cores, describe, headline
from lib.scenarios import SCENARIOS
from lib.servers import Server, end_on_signals, running
from lib.turns import Plan, raw_servers, run_load

DEFAULT = ["20Bx100", "20Bx50x16", "64KiBx20", "upgrade"]

# What a sample of the kernel is counted as: what the load's TCP does with our packets, which on loopback our core does; a copy, if it
# is in one; otherwise what the innermost of its functions that stands here belongs to.
OTHER_END = ("process_backlog", "net_rx_action")
COPIES = ("_copy_to_iter", "_copy_from_iter", "rep_movs_alternative", "copy_user_generic_unrolled")
KERNEL = [
    ("TCP, sending", ("io_send", "io_sendmsg", "__sys_sendto", "__sys_sendmsg", "tcp_sendmsg")),
    ("TCP, receiving", ("io_recv", "io_recvmsg", "__sys_recvfrom", "__sys_recvmsg", "tcp_recvmsg")),
    ("sockets: accept, shutdown, close", ("io_accept", "__sys_accept4", "__sys_shutdown", "__x64_sys_shutdown", "__x64_sys_close",
                                          "__arm64_sys_close", "__fput", "task_work_run")),
    ("scheduling, interrupts", ("schedule", "__schedule", "asm_sysvec_apic_timer_interrupt", "el1_interrupt")),
    ("epoll", ("do_epoll_wait", "do_epoll_ctl")),
    ("io_uring", ("__do_sys_io_uring_enter", "__x64_sys_io_uring_enter", "__arm64_sys_io_uring_enter", "io_cqring_wait")),
]
REST = "system call entry and other"
SAMPLES_FEW = 2000


def rooms_of(build):
    """{function: room} of our own objects."""
    rooms = {}
    for folder in sorted((build / "obj/engine").iterdir()):
        names = subprocess.run(["nm", "--defined-only", *map(str, sorted(folder.glob("*.o")))], capture_output=True, text=True, check=False).stdout
        for line in names.splitlines() if folder.is_dir() else ():
            words = line.split()
            if len(words) == 3 and words[1] in "tT":
                name = words[2].partition(".")[0]  # the compiler's clones
                owners = {rooms.get(name, folder.name), folder.name}
                rooms[name] = owners.pop() if len(owners) == 1 else "simd" if "simd" in owners else "several rooms"  # proto's loop has simd's kernels in it
    return rooms


def kernel_part(names):
    if any(name in OTHER_END for name in names):
        return "TCP input of the other end"
    if names[0] in COPIES:
        return "copying payload"
    for name in names:
        for part, functions in KERNEL:
            if name in functions:
                return part
    return REST


def part_of(stack, ours, rooms):
    """What one sample is counted as; stack: (function, object) from the innermost on."""
    function, where = stack[0]
    if where.startswith("[kernel") or where.endswith(".ko"):
        return "kernel: " + kernel_part([name for name, _ in stack])
    if where == "[unknown]":
        return "kernel: " + REST
    if Path(where).name == Path(ours).name:
        return "ours: " + rooms.get(function.partition(".")[0], "the program")
    if Path(where).name.startswith("raw_"):
        return "the raw program"
    return "libraries: " + Path(where).name.partition(".so")[0].strip("[]")


def stacks(text):
    """(process, stack) of each sample in what `perf script` printed."""
    pid, stack = 0, []
    for line in text.splitlines() + [""]:
        words = line.split()
        if not words:
            if stack:
                yield pid, stack
            stack = []
        elif line[0] not in " \t":
            pid = int(words[-1])
        elif len(words) >= 3:
            stack.append((words[1].partition("+")[0], words[-1][1:-1]))


def perf_event(perf):
    """Cycles where the machine counts them, else the clock. RuntimeError: what is missing."""
    for event in ("cycles", "cpu-clock"):
        tried = subprocess.run([perf, "record", "-q", "-e", event + ":uk", "-o", "/dev/null", "true"], capture_output=True, text=True, check=False)
        if tried.returncode == 0:
            return event + ":uk"
    raise RuntimeError("perf may not look at the kernel here: run as root, or set the sysctl kernel.perf_event_paranoid to 1\n" + tried.stderr.strip())


@contextlib.contextmanager
def sampling(perf, event, servers, path):
    pids = ",".join(str(server.process.pid) for server in servers)
    process = subprocess.Popen([perf, "record", "-q", "-g", "-F", "4999", "-e", event, "-p", pids, "-o", str(path)],
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        yield
    finally:
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
        if not path.exists():
            raise RuntimeError(f"perf record: {said.strip()}")


def profile(plan, scenario, servers, tools, rooms):
    """{server: ({part: us a message}, their sum, how many samples)}; ours is the first of servers."""
    perf, event, folder = tools
    path = Path(folder) / "perf.data"
    plan = replace(plan, slices=scenario.slices, brakes=scenario.brakes)
    with running(servers, plan.server_core):
        names = {server.process.pid: server.name for server in servers}
        with sampling(perf, event, servers, path):
            _, slices = run_load(plan, scenario.program, scenario.arguments, servers)
    text = subprocess.run([perf, "script", "-i", str(path), "-F", "comm,pid,ip,sym,dso"], capture_output=True, text=True, check=True).stdout
    counts = {server.name: Counter() for server in servers}
    for pid, stack in stacks(text):
        name = names[pid]
        counts[name][part_of(stack, servers[0].command[0], rooms)] += 1
    columns = {}
    for name, parts in counts.items():
        pieces, samples = slices[name], sum(parts.values())
        if samples == 0:
            raise RuntimeError(f"perf took no samples of {name}")
        us = sum(piece["server_run_ns"] for piece in pieces) / sum(piece["units"] for piece in pieces) / 1e3
        columns[name] = {part: us * n / samples for part, n in parts.items()}, us, samples
    return columns


def print_table(scenario, columns):
    """columns: {server: (parts, us, samples)}."""
    print(f"\n{scenario.name}: {scenario.title}; CPU us per {scenario.unit}")
    print(f"  {'':<48}" + "".join(f"{name:>14}{'':>8}" for name in columns))
    first = next(iter(columns.values()))[0]
    names = sorted({part for parts, _, _ in columns.values() for part in parts}, key=lambda part: (part.split(":")[0], -first.get(part, 0), part))
    for part in names:
        cells = [(parts.get(part, 0), us) for parts, us, _ in columns.values()]
        if max(value / us for value, us in cells) >= 0.002:
            print(f"  {part:<48}" + "".join(f"{value:>14.3f}{value / us:>8.1%}" for value, us in cells))
    print(f"  {'together':<48}" + "".join(f"{us:>14.3f}{'':>8}" for _, us, _ in columns.values()))
    print(f"  {'samples':<48}" + "".join(f"{samples:>14}{'':>8}" for _, _, samples in columns.values()), flush=True)
    if min(samples for _, _, samples in columns.values()) < SAMPLES_FEW:
        print(f"  warning: fewer than {SAMPLES_FEW} samples: round what you read, or sample longer (--seconds)", flush=True)


def parse(arguments):
    parser = argparse.ArgumentParser(prog="bench/profile.sh BUILD_FOLDER", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--build", default="build/release", help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, default=4.0, help="a server and scenario [4]")
    known = [s.name for s in SCENARIOS if not s.tls and s.program in ("echo_load", "upgrade_load")]
    parser.add_argument("--only", action="append", choices=known, metavar="SCENARIO",
                        help=f"this one; may be repeated: {', '.join(known)} [{', '.join(DEFAULT)}]")
    options = parser.parse_args(arguments)
    if not 0.1 <= options.seconds <= 60:
        parser.error("0.1 to 60 s a server are wanted")
    return options


def main():
    options = parse(sys.argv[1:])
    end_on_signals()
    perf = shutil.which("perf")
    if perf is None:
        raise RuntimeError("there is no perf here: apt-get install linux-perf")
    event = perf_event(perf)
    load_core, server_core, cores = choose_cores()
    print(headline(describe(load_core, server_core, cores)) + f"; perf's {event.partition(':')[0]}")
    alone = cores >= 2
    plan = Plan(Path(options.build), load_core, server_core, 1, options.seconds, spin=alone, brake=alone)
    rooms = rooms_of(plan.build)
    with tempfile.TemporaryDirectory(prefix="wsring-profile-") as folder:
        for name in options.only or DEFAULT:
            scenario = next(s for s in SCENARIOS if s.name == name)
            ours = Server("wsring", "ws", [str(plan.build / "wsring"), "serve", "--host", "127.0.0.1", "--port", "{port}", "--quiet"])
            print_table(scenario, profile(plan, scenario, [ours, *raw_servers(plan.build, scenario)], (perf, event, folder), rooms))


if __name__ == "__main__":
    try:
        main()
    except RuntimeError as problem:
        sys.exit(f"bench/profile: {problem}")
