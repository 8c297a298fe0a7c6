"""bench/echo.py - our echo against the raw TCP echoes: server CPU per message and messages per second, as ratios.

Not the load and not a server: those are C (echo_load.c, raw_epoll.c, raw_uring.c, and `wsring serve`). This starts them, each on
its core, does the statistics and prints one line a goal. How to read the figures: bench/README.md. Python's standard library only.
"""
import argparse
import contextlib
import ctypes
import json
import os
import platform
import random
import re
import select
import shlex
import signal
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

KEY_BYTES = 4  # the masking key: in every frame of a client's, in none of a server's (RFC 6455 section 5.1)
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


def frame_bytes(payload, masked):
    """Bytes on the wire of one message (RFC 6455 section 5.2)."""
    header = 2 if payload < 126 else 4 if payload < 65536 else 10
    return header + (KEY_BYTES if masked else 0) + payload


# --- The machine ------------------------------------------------------------------------------------------------------------


def siblings(cpu):
    try:
        text = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list").read_text()
    except OSError:
        return {cpu}
    found = set()
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return found


def choose_cores():
    """A core for the load and one for the servers: two real ones, where there are two."""
    cpus = sorted(os.sched_getaffinity(0))
    load = cpus[0]
    others = [cpu for cpu in cpus if cpu != load]
    apart = [cpu for cpu in others if cpu not in siblings(load)]
    return load, (apart or others or [load])[0], len(cpus)


def machine(load_core, server_core, cores):
    model = "unknown"
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    return {"cpu": model, "kernel": platform.release(), "cores": cores, "load_core": load_core, "server_core": server_core}


def stolen_share():
    """Ticks that a hypervisor took away, and all ticks, of all cores since the machine started."""
    fields = [int(x) for x in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    return fields[7], sum(fields[:8])


# --- Servers ----------------------------------------------------------------------------------------------------------------


def bind_life(core):
    """For a child, before its program starts: pins it, and has the kernel end it if this process dies in any way."""
    libc = ctypes.CDLL(None)

    def prepare():
        libc.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        os.sched_setaffinity(0, {core})

    return prepare


class Server:
    def __init__(self, name, mode, command):
        self.name, self.mode, self.command = name, mode, command
        self.process = None
        self.port = 0

    def start(self, core):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        command = [part.replace("{port}", str(self.port)) for part in self.command]
        try:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, preexec_fn=bind_life(core))
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


def servers_for(options, scenario):
    _, _, payload, _, _, _ = scenario
    build = Path(options.build)
    sizes = ["--port", "{port}", "--in", str(frame_bytes(payload, True)), "--out", str(frame_bytes(payload, False))]
    servers = []
    if options.ours:
        servers.append(Server(OURS, "ws", [str(build / "wsring"), "serve", "--host", "127.0.0.1", "--port", "{port}", "--quiet"]))
    servers.append(Server("raw-uring", "raw", [str(build / "bench/raw_uring"), *sizes]))
    servers.append(Server("raw-epoll", "raw", [str(build / "bench/raw_epoll"), *sizes]))
    for peer in options.peer:
        name, _, command = peer.partition("=")
        if not command:
            raise SystemExit(f"--peer {peer}: NAME=COMMAND is wanted")
        servers.append(Server(name, "ws", shlex.split(command)))
    return servers


# --- One round: every server in turn, in slices -------------------------------------------------------------------------------


def run_load(options, scenario, servers, load_core, server_core, seed):
    _, connections, payload, depth, text, _ = scenario
    command = [str(Path(options.build) / "bench/echo_load")]
    command += ["--connections", str(connections), "--payload", str(payload), "--depth", str(depth)]
    command += ["--slices", str(options.slices), "--seconds", str(options.seconds / options.slices), "--seed", str(seed)]
    command += ["--text"] if text else []
    command += ["--spin"] if options.spin else []
    command += ["--brake", str(server_core)] if options.brake else []
    command += ["--cycles"] if options.cycles else []
    for server in servers:
        command += ["--target", f"{server.mode}:{server.port}:{server.process.pid}"]
    load = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, preexec_fn=bind_life(load_core))
    try:
        output, _ = load.communicate(timeout=90 + 2 * options.seconds * len(servers))
    finally:
        if load.poll() is None:
            load.kill()
            load.wait()
    if load.returncode != 0:
        raise RuntimeError(f"the load failed: {shlex.join(command)}")
    result = json.loads(output)
    if result["in_bytes"] != frame_bytes(payload, True) or result["out_bytes"] != frame_bytes(payload, False):
        raise RuntimeError("the load and the raw echoes disagree on the bytes of a message")
    return {server.name: target["slices"] for server, target in zip(servers, result["targets"])}


def run_scenario(options, scenario, cores):
    """Returns a list of rounds, each {server name: [slice, ...]}."""
    load_core, server_core, _ = cores
    servers = servers_for(options, scenario)
    rounds = []
    while len(rounds) < options.rounds:
        # New processes now and then: where a program happens to lie in memory is luck, and should not last.
        with running(servers, server_core):
            for _ in range(min(options.rounds_per_start, options.rounds - len(rounds))):
                order = random.sample(servers, len(servers))
                rounds.append(run_load(options, scenario, order, load_core, server_core, random.getrandbits(32)))
                if sys.stderr.isatty():
                    print(f"\r{scenario[0]}: round {len(rounds)} of {options.rounds} ", end="", file=sys.stderr, flush=True)
        if sys.stderr.isatty():
            print("\r\033[K", end="", file=sys.stderr, flush=True)
    return rounds


# --- Statistics ---------------------------------------------------------------------------------------------------------------


def interval(values):
    """The median, and a 95 % interval of it by order statistics (binomial; assumes nothing of the distribution)."""
    values = sorted(values)
    n = len(values)
    # The largest k with P(Binomial(n, 1/2) < k) <= 2.5 %: the k-th from below and the k-th from above enclose the median.
    k, below, term = 0, 0.0, 0.5**n
    while below + term <= 0.025:
        below += term
        term *= (n - k) / (k + 1)
        k += 1
    return statistics.median(values), values[k - 1] if k else None, values[n - k] if k else None


def cpu_us(piece):
    return piece["server_run_ns"] / piece["units"] / 1e3


def rate(piece):
    return piece["units"] / piece["seconds"]


def cycles(piece):
    return piece["server_cycles"] / piece["units"]


def paired(rounds, a, b, figure):
    """One ratio a round: the median of the ratios of its slices, each taken a moment apart on the same machine."""
    return [statistics.median(figure(x) / figure(y) for x, y in zip(r[a], r[b])) for r in rounds]


def totals(rounds, name, figure):
    return [statistics.median(figure(piece) for piece in r[name]) for r in rounds]


def verdict(ratio, wanted):
    """A goal is met, or missed, only if the whole interval says so."""
    _, low, high = ratio
    if low is None:
        return "unclear"
    return "ok" if high <= wanted else "short" if low > wanted else "unclear"


def summarise(rounds, names):
    """Medians of each server, and which raw echo is the better one."""
    summary = {}
    for name in names:
        pieces = [piece for r in rounds for piece in r[name]]
        seconds = sum(piece["seconds"] for piece in pieces)
        summary[name] = {
            "messages_per_second": statistics.median(totals(rounds, name, rate)),
            "cpu_us": statistics.median(totals(rounds, name, cpu_us)),
            "cycles": statistics.median(totals(rounds, name, cycles)),
            "sleeps": 1000 * sum(piece["server_sleeps"] for piece in pieces) / sum(piece["units"] for piece in pieces),
            "server_busy": sum(piece["server_run_ns"] for piece in pieces) / seconds / 1e9,
            "load_busy": sum(piece["load_run_ns"] for piece in pieces) / seconds / 1e9,
            "load_waited": sum(piece["load_wait_ns"] for piece in pieces) / seconds / 1e9,
        }
    better = RAW[0] if statistics.median(paired(rounds, *RAW, cpu_us)) <= 1 else RAW[1]
    for name in names:
        summary[name]["cpu_ratio"] = interval(paired(rounds, name, better, cpu_us))
        summary[name]["rate_ratio"] = interval(paired(rounds, name, better, rate))
        if summary[name]["cycles"]:
            summary[name]["cycles_ratio"] = interval(paired(rounds, name, better, cycles))
    return summary, better


# --- Output -------------------------------------------------------------------------------------------------------------------


def ratio_text(ratio):
    median, low, high = ratio
    return f"{median:.3f} [? ?]" if low is None else f"{median:.3f} [{low:.3f} {high:.3f}]"


def print_scenario(scenario, rounds, summary, better):
    name, connections, payload, depth, text, _ = scenario
    print(f"\n{name}: {payload} B {'text' if text else 'binary'} x {connections} connections, depth {depth}; "
          f"{frame_bytes(payload, True)} bytes in, {frame_bytes(payload, False)} out; {len(rounds)} rounds; ratios to {better}")
    has_cycles = "cycles_ratio" in summary[better]
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


def on_signal(number, _frame):
    raise SystemExit(128 + number)


def main():
    options = parse(sys.argv[1:])
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, on_signal)
    cores = choose_cores()
    host = machine(*cores)
    print(f"machine: {host['cpu']}, Linux {host['kernel']}, {host['cores']} cores; "
          f"servers on core {host['server_core']}, load on core {host['load_core']}")
    if host["cores"] < 2:
        print("warning: fewer than 2 cores: load and servers share one, and these figures mean little", flush=True)
        options.spin = options.brake = False
    stolen, ticks = stolen_share()

    goals, document = [], {"machine": host, "rounds": options.rounds, "seconds": options.seconds, "slices": options.slices,
                       "spin": options.spin, "brake": options.brake, "scenarios": {}}
    for scenario in SCENARIOS:
        if options.only and scenario[0] not in options.only:
            continue
        rounds = run_scenario(options, scenario, cores)
        summary, better = summarise(rounds, list(dict.fromkeys([s.name for s in servers_for(options, scenario)])))
        print_scenario(scenario, rounds, summary, better)
        if options.ours:
            goals.append(goal_line(scenario, summary))
        document["scenarios"][scenario[0]] = {"better_raw": better, "summary": summary, "wanted": scenario[5], "rounds": rounds}

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
