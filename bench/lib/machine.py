"""bench/lib/machine.py - the machine that measures: its cores, its name, and what was taken away from it."""
import contextlib
import os
import platform
from pathlib import Path


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
    """A core for the load and one for the servers: two real ones, where there are two. And how many there are."""
    cpus = sorted(os.sched_getaffinity(0))
    load = cpus[0]
    others = [cpu for cpu in cpus if cpu != load]
    apart = [cpu for cpu in others if cpu not in siblings(load)]
    return load, (apart or others or [load])[0], len(cpus)


def describe(load_core, server_core, cores):
    model = "unknown"
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    return {"cpu": model, "kernel": platform.release(), "cores": cores, "load_core": load_core, "server_core": server_core}


def headline(host):
    return (f"machine: {host['cpu']}, Linux {host['kernel']}, {host['cores']} cores; "
            f"servers on core {host['server_core']}, load on core {host['load_core']}")


def stolen_share():
    """Ticks that a hypervisor took away, and all ticks, of all cores since the machine started."""
    fields = [int(x) for x in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    return fields[7], sum(fields[:8])
