"""A network of three namespaces: a client's host, a server's, and a router between them, where all the faults are made.

    client 10.9.1.2 --- 10.9.1.1 router 10.9.2.1 --- 10.9.2.2 server

The process that imports this is the router: `unshare -n` (root) or `unshare -Urn` started it. The two hosts exist as long as it does.
Neither end sees a fault in its own system: nothing is refused to it, its packets only do not arrive, or come late, or a reset comes.
"""
import os
import subprocess

CLIENT, SERVER, PORT = "10.9.1.2", "10.9.2.2", 9000
TO_SERVER, TO_CLIENT = f"ip daddr {SERVER}", f"ip daddr {CLIENT}"
LINK_RATE = "80mbit"  # of both links, so that what is in flight is not all there is, and a run leaves the cores to others


def run(*command, check=True):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


class Host:
    """A namespace, held by a process that ends with this one."""

    def __init__(self, address, gateway, router_link):
        self.holder = subprocess.Popen(["unshare", "-n", "sh", "-c", "echo; exec cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.holder.stdout.readline()  # it is in its namespace
        self.pid = self.holder.pid
        run("ip", "link", "add", "name", router_link, "type", "veth", "peer", "name", "eth0", "netns", str(self.pid))
        run("ip", "address", "add", f"{gateway}/24", "dev", router_link)
        run("ip", "link", "set", router_link, "up")
        run("ip", "link", "set", "lo", "up")
        # A packet is a packet: no offloading, by which one loss would be that of 64 KiB.
        for command in (f"address add {address}/24 dev eth0", "link set eth0 gso_max_segs 1", "link set eth0 up", "link set lo up", f"route add default via {gateway}"):
            self.run("ip", *command.split())

    def command(self, *command):
        """To be run on this host, and killed when this process ends."""
        return ["setpriv", "--pdeathsig", "KILL", "nsenter", "-t", str(self.pid), "-n", "--", *command]

    def run(self, *command, check=True):
        return run(*self.command(*command), check=check)

    def sysctl(self, name, value):
        self.run("sh", "-c", f"echo {value} > /proc/sys/net/ipv4/{name}")

    def kill_sockets(self, what):
        """Ends TCP connections as an administrator does (ss -K): this end's with ECONNABORTED, and a reset to the other. Returns how many."""
        return self.run("ss", "-KHtn", *what.split()).count("\n")


class Net:
    def __init__(self):
        self.client = Host(CLIENT, "10.9.1.1", "to_client")
        self.server = Host(SERVER, "10.9.2.1", "to_server")
        with open("/proc/sys/net/ipv4/ip_forward", "w", encoding="ascii") as file:
            file.write("1")
        run("nft", "add table inet fault")
        # Behind the routing's choice everything passes `forward`; `before` is where a packet can be marked for a detour.
        run("nft", "add chain inet fault forward { type filter hook forward priority 0 ; }")
        run("nft", "add chain inet fault before { type filter hook prerouting priority -150 ; }")
        run("nft", "add chain inet fault own { type filter hook output priority 0 ; }")
        self.throttle("both", LINK_RATE)
        self.detour = None

    def rule(self, text):
        run("nft", f"add rule inet fault forward {text}")

    def heal(self):
        """Takes away everything that rule, lose and delay have done."""
        run("nft", "flush table inet fault")
        if self.detour is not None:
            self.detour.terminate()
            self.detour.wait()
            self.detour = None

    def lose(self, percent):
        self.rule(f"numgen random mod 1000 < {int(percent * 10)} drop")

    def hole(self, direction):
        self.rule("drop" if direction == "both" else f"{direction} drop")

    def reset(self, match):
        """Whoever sends a TCP packet that matches gets a reset for it; the other end gets nothing."""
        self.rule(f"{match} meta l4proto tcp reject with tcp reset")

    def throttle(self, direction, rate, latency="400ms"):
        for link in ("to_server", "to_client"):
            if direction in ("both", link):
                run("tc", "qdisc", "replace", "dev", link, "root", "tbf", "rate", rate, "burst", "16kb", "latency", latency)

    def cable(self, plugged):
        """The client's: pulled out, it loses its carrier."""
        run("ip", "link", "set", "to_client", "up" if plugged else "down")

    def mtu(self, n, told=True):
        """Of the way in both directions: what is larger does not pass, and its sender is told so (ICMP), or is not."""
        if not told:
            run("nft", "add rule inet fault own icmp type destination-unreachable drop")
        for address, link in ((SERVER, "to_server"), (CLIENT, "to_client")):
            run("ip", "route", "replace", f"{address}/32", "dev", link, "mtu", str(n))

    def delay(self, ms, jitter_ms):
        """Every packet takes a detour over a line that holds it for ms, give or take jitter_ms: they overtake each other."""
        here = os.path.dirname(os.path.abspath(__file__))
        self.detour = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "python3", os.path.join(here, "delay_line.py"), "slow", str(ms), str(jitter_ms)],
                                       stdout=subprocess.PIPE)
        if not self.detour.stdout.readline():
            raise PermissionError("no TUN device is to be had here (/dev/net/tun), so packets cannot be delayed")
        run("ip", "link", "set", "slow", "up")
        run("ip", "route", "replace", "default", "dev", "slow", "table", "100")
        run("ip", "rule", "add", "fwmark", "1", "table", "100")
        run("nft", "add rule inet fault before iifname != slow meta l4proto tcp mark set 1")


def first_bytes(n, value):
    """Matches a TCP packet by the first n bytes of its payload. `@ih` is what follows the TCP header."""
    return f"@ih,0,{n * 8} {value:#x}"


REQUEST, ANSWER, CLOSE = first_bytes(4, int.from_bytes(b"GET ", "big")), first_bytes(4, int.from_bytes(b"HTTP", "big")), first_bytes(1, 0x88)
