"""The programs at both ends, ours and another's: started on their hosts, told what to do, and asked afterwards what they saw and when.

Ours are `wsring serve --verbose`, `wsring load --reconnect` (all it sends comes back verified or is accounted for), and `wsring connect
--reconnect --json`, which is silent or speaks a line now and then, and tells of every event with its time. The other is python3-websockets.
"""
import json
import os
import random
import re
import signal
import subprocess
import threading
import time

import net

HERE = os.path.dirname(os.path.abspath(__file__))


class Program:
    """Its lines are read as they come, each with the time of its coming."""

    def __init__(self, host, command, feed=False):
        self.lines, self.changed = [], threading.Condition()
        self.process = subprocess.Popen(host.command(*command), stdin=subprocess.PIPE if feed else subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.readers = [threading.Thread(target=self.read, args=(pipe,), daemon=True) for pipe in (self.process.stdout, self.process.stderr)]
        for reader in self.readers:
            reader.start()

    def read(self, pipe):
        for line in pipe:
            now = time.time()
            with self.changed:
                self.take(now, line.rstrip("\n"))
                self.changed.notify_all()

    def take(self, now, line):
        self.lines.append((now, line))

    def wait_until(self, condition, seconds, what):
        with self.changed:
            if not self.changed.wait_for(condition, seconds):
                said = "".join(f"\n        {line}" for _, line in self.lines[-4:])
                raise TimeoutError(f"waited {seconds:.1f} s for {what}{said}")

    def end(self, sig=signal.SIGINT, seconds=20):
        """Asks it to end; returns its exit code."""
        if self.process.poll() is None and sig is not None:
            self.process.send_signal(sig)
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for reader in self.readers:
            reader.join(5)
        return self.process.returncode

    def resident(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
            return int(re.search(r"VmRSS:\s+(\d+) kB", status.read())[1]) * 1024


class Server(Program):
    def __init__(self, world, *options):
        self.opened, self.closed = [], []
        tls = [f"--tls-self-signed={net.SERVER}"] if world.tls else []
        super().__init__(world.net.server, [world.wsring, "serve", "--host", net.SERVER, "--port", str(net.PORT), "--verbose", "--stats",
                                            f"--idle-timeout={world.limit}s", f"--ping-interval={world.limit / 2}s",
                                            f"--ping-timeout={world.limit / 2}s", *tls, *options])
        self.wait_until(lambda: any("listening" in line for _, line in self.lines), 10, "the server to listen")

    def take(self, now, line):
        super().take(now, line)
        if re.search(r" open, ", line):
            self.opened.append(now)
        found = re.search(r" closed by .* cause (WSR_\w+)", line)
        if found:
            self.closed.append((now, found[1]))

    def paused(self):
        """How often it stopped reading a client that did not read; known once it has ended."""
        return sum(int(n) for _, line in self.lines for n in re.findall(r"readers waited for (\d+)", line))


class TheirServer(Program):
    """Its `cause` is the code that its library gives the end."""

    def __init__(self, world):
        self.opened, self.closed = [], []
        super().__init__(world.net.server, [world.python, os.path.join(HERE, "websockets_end.py"), "server", str(world.limit / 2)])
        self.wait_until(lambda: self.lines, 10, "the server to listen")

    def take(self, now, line):
        super().take(now, line)
        if line == "open":
            self.opened.append(now)
        elif line.startswith("closed "):
            self.closed.append((now, line.split()[1]))


class Books:
    """What was sent, and what became of it. Nobody may lose a message without saying so, or make one up."""

    def __init__(self):
        self.sent = self.verified = self.undelivered = self.in_doubt = self.wrong = self.unaccounted = self.lost = self.back = 0

    def add(self, **numbers):
        for name, n in numbers.items():
            setattr(self, name, getattr(self, name) + n)


class Load:
    """Four connections that send as fast as echoes come. Comes back, unless nothing may be lost."""

    def __init__(self, world, *options, reconnect=True):
        back = ["--reconnect=fast"] if reconnect else []
        self.program = Program(world.net.client, [world.wsring, "load", "-c", "4", "-d", "4", "-s", "0-16KiB", "--mix", "--fragment", "10%", "-t", "600",
                                                  "--patience=60s", f"--ping-interval={world.limit / 2}s", "--json", *back, *world.trust, *options, world.url])

    def end(self, books, sig=signal.SIGINT, seconds=60):
        code = self.program.end(sig, seconds)
        text = [line for _, line in self.program.lines if line.startswith("{")]
        if not text:
            raise RuntimeError(f"load reported nothing, exit code {code}: {self.program.lines[-3:]}")
        result = json.loads(text[0])
        messages, connections = result["messages"], result["connections"]
        books.add(sent=messages["sent"], verified=messages["echoed"] - messages["wrong"], undelivered=messages["undelivered"], in_doubt=messages["in_doubt"],
                  wrong=messages["wrong"], unaccounted=messages["unaccounted"], lost=connections["lost"], back=connections["reopened"])
        return result


class Talker(Program):
    """One connection, `every` seconds a line of 10 to 1,000 characters; None: silent, but for pings."""

    def __init__(self, world, every=None, reconnect=True, options=()):
        self.events, self.said, self.heard, self.wrong = [], [], 0, 0
        back = ["--reconnect=fast"] if reconnect else []
        super().__init__(world.net.client, [world.wsring, "connect", "--json", "--quiet", f"--ping={world.limit / 2}s", "--wait=300ms", "--timeout=2s", *back,
                                            *world.trust, *options, world.url], feed=True)
        self.stop = threading.Event()
        self.speaker = threading.Thread(target=self.speak, args=(every,), daemon=True)
        if every is not None:
            self.speaker.start()

    def speak(self, every):
        chance = random.Random(5)
        while not self.stop.wait(every):
            self.say("".join(chance.choices("abcdefghijklmnopqrstuvwxyz \u00e9\u4e16\U0001f600", k=chance.randrange(10, 1000))))

    def say(self, text):
        line = f"{len(self.said)} {text}"
        self.said.append(line)  # before it can be heard
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def take(self, now, line):
        super().take(now, line)
        if not line.startswith("{"):
            return
        event = json.loads(line)
        if event["event"] == "message":
            number = int(event["text"].split(" ", 1)[0])
            self.wrong += number < self.heard or number >= len(self.said) or event["text"] != self.said[number]
            self.heard = number + 1
        elif event["event"] != "ping":
            self.events.append(event)

    def named(self, *names, since=0.0):
        return [event for event in self.events if event["event"] in names and event["time"] >= since]

    def hang_up(self):
        """Says that there is nothing more to say, whereupon it closes."""
        self.stop.set()
        if self.speaker.is_alive():
            self.speaker.join()
        try:
            self.process.stdin.close()
        except OSError:
            pass  # it has gone

    def end(self, books, sig=None, seconds=20):
        self.hang_up()
        code = super().end(sig, seconds)
        records = [event for event in self.named("reconnecting", "closed") if event["messages_out"] > 0]
        came = sum(record["messages_in"] for record in records)
        undelivered = sum(record["messages_undelivered"] for record in records)
        sent = sum(record["messages_out"] for record in records)
        in_doubt = [record["messages_out"] - record["messages_in"] - record["messages_undelivered"] for record in records]
        # Every line was taken, and each record's numbers hold together.
        books.add(sent=sent, verified=came - self.wrong, undelivered=undelivered, in_doubt=sum(in_doubt), wrong=self.wrong,
                  unaccounted=abs(len(self.said) - sent) + sum(-n for n in in_doubt if n < 0), lost=len(self.lost()),
                  back=max(0, len(self.named("open")) - 1))
        return code

    def lost(self):
        """Connections, not attempts: those that had been open."""
        lost, was_open = [], False
        for event in self.events:
            if event["event"] == "reconnecting" and was_open:
                lost.append(event)
            was_open = event["event"] == "open"
        return lost


class TheirClient(Program):
    def __init__(self, world):
        self.events = []
        super().__init__(world.net.client, [world.python, os.path.join(HERE, "websockets_end.py"), "client", str(world.limit / 2)])

    def take(self, now, line):
        super().take(now, line)
        if line.startswith("{"):
            self.events.append(json.loads(line))

    def named(self, *names, since=0.0):
        return [event for event in self.events if event["event"] in names and event["time"] >= since]

    def end(self, books, sig=signal.SIGINT, seconds=20):
        super().end(sig, seconds)
        totals = self.named("totals")[0]
        books.add(**{name: totals[name] for name in ("sent", "verified", "in_doubt", "wrong", "lost", "back")})
