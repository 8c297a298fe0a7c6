"""The faults: each is a function of a World, which makes it and says what must hold. Its docstring is its row's name."""
import signal
import time

import ends
import net

SLACK = 1.0  # seconds beyond its limit by which a dead peer must be found
DEAD = {"WSR_ETIMEOUT_PING", "WSR_ETIMEOUT_IDLE"}
RESET = {"WSR_ERESET"}
CLOSED = {"WSR_OK", "1000"}  # in order, as ours and theirs say it


class Unavailable(Exception):
    """This host cannot make the fault."""


class World:
    """A network of its own, a server and clients; what they found; what was not well."""

    def __init__(self, wsring, python, tls=False, client="ours", server="ours", limit=2.0):
        self.wsring, self.python, self.tls, self.client_kind, self.server_kind, self.limit = wsring, python, tls, client, server, limit
        self.url, self.trust = f"{'wss' if tls else 'ws'}://{net.SERVER}:{net.PORT}/", ["--insecure"] if tls else []
        self.net, self.books, self.wrong = net.Net(), ends.Books(), []
        self.found = {"client": None, "server": None}
        self.causes = {"client": {}, "server": {}}
        self.note = ""
        self.server = self.load = None
        self.talkers = []

    def check(self, good, text):
        if not good:
            self.wrong.append(text)

    # ---- the ends ----

    def serve(self, *options):
        self.server = ends.Server(self, *options) if self.server_kind == "ours" else ends.TheirServer(self)

    def open_all(self, reconnect=True, load_options=()):
        """A load, one that talks and one that is silent; all open, and some traffic gone through."""
        if self.server is None:
            self.serve()
        if self.client_kind == "ours":
            self.talkers = [ends.Talker(self, reconnect=reconnect), ends.Talker(self, 0.05, reconnect=reconnect)]
            self.load = ends.Load(self, *load_options, reconnect=reconnect)
        else:
            self.talkers = [ends.TheirClient(self) for _ in range(3)]
        self.server.wait_until(lambda: len(self.server.opened) == self.connections(), 20, "all clients to be there")
        time.sleep(1)

    def connections(self):
        return len(self.talkers) + (4 if self.load is not None else 0)

    def end_all(self):
        """What the clients say, and what the server says of them."""
        if self.load is not None:
            result = self.load.end(self.books)
            self.check(result["complete"], f"the load is not complete: {result['connections']} {result['messages']} {result['errors']} {result['first_wrong']}")
        for talker in self.talkers:
            talker.end(self.books)
        self.server.end(signal.SIGTERM)
        books = self.books
        self.check(books.wrong == 0, f"{books.wrong} wrong")
        self.check(books.unaccounted == 0, f"{books.unaccounted} unaccounted for")
        self.check(books.sent == books.verified + books.wrong + books.undelivered + books.in_doubt, "the books do not balance")
        self.check(books.verified > 0, "nothing was verified")

    # ---- what is found, and when ----

    def note_found(self, end, times_and_causes, since, limit, wanted):
        seconds = max(t for t, _ in times_and_causes) - since
        self.found[end] = (seconds, limit)
        for _, cause in times_and_causes:
            self.causes[end][cause] = self.causes[end].get(cause, 0) + 1
        theirs = (self.client_kind if end == "client" else self.server_kind) != "ours"
        if theirs:
            return
        self.check(seconds <= limit + SLACK, f"the {end} needed {seconds:.2f} s to find what its limit says is {limit:.1f} s")
        others = set(self.causes[end]) - wanted
        self.check(not others, f"the {end} gives as the cause {others}, and not {wanted}")

    def client_finds(self, since, limit, wanted):
        for talker in self.talkers:
            talker.wait_until(lambda t=talker: t.named("reconnecting", "closed", since=since), limit + 6, "a client to find out")
        events = [talker.named("reconnecting", "closed", since=since)[0] for talker in self.talkers]
        self.note_found("client", [(event["time"], event["error"]) for event in events], since, limit, wanted)

    def server_finds(self, since, limit, wanted, n=None):
        n = self.connections() if n is None else n
        self.server.wait_until(lambda: sum(t >= since for t, _ in self.server.closed) >= n, limit + 6, f"the server to find out about {n}")
        self.note_found("server", [(t, cause) for t, cause in self.server.closed if t >= since][:n], since, limit, wanted)

    def outage(self, begin, client=DEAD, server=DEAD, mend=None, heal_first=False, client_limit=None, server_limit=None, n=None):
        """Begins a fault that both ends must find, mends it, and waits for the clients to come back. n: it meets only so many, the load's."""
        opened = len(self.server.opened)
        since = time.time()
        begin()
        if heal_first:
            self.net.heal()
        if n is None:
            self.client_finds(since, client_limit or self.limit, client)
        self.server_finds(since, server_limit or self.limit, server, n)
        self.net.heal()
        if mend is not None:
            mend()
        self.server.wait_until(lambda: len(self.server.opened) >= opened + (n or self.connections()), 30, "all clients to be back")
        time.sleep(0.7)
        self.end_all()
        self.check(self.books.lost > 0 and self.books.back == self.books.lost, f"{self.books.lost} lost, {self.books.back} back")

    def trouble(self, seconds, begin, after=None):
        """A fault that costs time, and nothing else."""
        begin()
        time.sleep(seconds)
        if after is not None:
            after()
        self.end_all()
        self.check(self.books.sent == self.books.verified, "something was lost")
        codes = {cause for _, cause in self.server.closed}
        self.check(codes <= CLOSED, f"connections ended for {codes}")


# ---- packets lost, late, out of order ----

def loss_1(w):
    "1 % of packets lost"
    w.limit = 20.0
    w.open_all(reconnect=False)
    w.trouble(5, lambda: w.net.lose(1))


def loss_5(w):
    "5 % of packets lost"
    w.limit = 20.0
    w.open_all(reconnect=False)
    w.trouble(5, lambda: w.net.lose(5))


def loss_20(w):
    "20 % of packets lost"
    w.limit = 30.0
    w.open_all(reconnect=False)
    w.trouble(6, lambda: w.net.lose(20))


def delay(w, ms, jitter_ms):
    try:
        w.net.delay(ms, jitter_ms)
    except PermissionError as error:
        raise Unavailable(str(error)) from error


def late(w):
    "100 ms of delay each way"
    w.open_all(reconnect=False)
    w.trouble(5, lambda: delay(w, 100, 0))


def reordered(w):
    "50 ms of delay +- 40, out of order"
    w.open_all(reconnect=False)
    w.trouble(5, lambda: delay(w, 50, 40))


# ---- black holes, half-open peers ----

def hole_both(w):
    "black hole, both ways"
    w.open_all()
    w.outage(lambda: w.net.hole("both"))


def hole_to_server(w):
    "black hole, client to server"
    w.open_all()
    # The client hears the server's last ping. The Close behind it waits in the server's TCP for acknowledgements.
    w.outage(lambda: w.net.hole(net.TO_SERVER), client_limit=w.limit * 1.5)


def hole_to_client(w):
    "black hole, server to client"
    w.open_all()
    w.outage(lambda: w.net.hole(net.TO_CLIENT), server_limit=w.limit * 1.5)


def hole_large(w):
    "black hole amid messages of 1 MiB"
    w.open_all(load_options=["-s", "1MiB", "-d", "2"])
    w.outage(lambda: w.net.hole("both"))


def forget(w, host, ports, to_peer):
    """A host forgets its connections, and the resets that say so are lost: the peer knows nothing of it."""
    w.net.rule(f"{to_peer} tcp flags & rst == rst drop")
    w.check(host.kill_sockets(ports) > 0, "ss -K killed nothing")


def server_forgets(w):
    "half-open: the server's host forgot"
    w.open_all()
    w.outage(lambda: forget(w, w.net.server, f"sport = {net.PORT}", net.TO_CLIENT), client=RESET, server=RESET, heal_first=True)


def server_forgets_silently(w):
    "half-open: and its resets are lost"
    w.open_all()
    w.outage(lambda: forget(w, w.net.server, f"sport = {net.PORT}", net.TO_CLIENT), server=RESET)


def client_forgets_silently(w):
    "half-open: the client's host forgot"
    w.open_all()
    w.outage(lambda: forget(w, w.net.client, f"dport = {net.PORT}", net.TO_SERVER), client=RESET)


# ---- resets, in every phase ----

def reset_request(w):
    "reset in the handshake: the request"
    w.serve()
    w.net.reset(f"{net.TO_SERVER} {net.REQUEST}")
    handshake(w, client=RESET, server={"WSR_ETIMEOUT_HANDSHAKE", "WSR_ERESET", "WSR_ETRUNCATED"}, server_limit=10)


def reset_answer(w):
    "reset in the handshake: the answer"
    w.serve()
    w.net.reset(f"{net.TO_CLIENT} {net.ANSWER}")
    handshake(w, client={"WSR_ETIMEOUT_HANDSHAKE"}, server=RESET, server_limit=2)


def kill_in_handshake(w):
    "ss -K in the handshake, the client's"
    w.serve()
    w.net.rule(f"{net.TO_CLIENT} {net.ANSWER} drop")
    handshake(w, client=RESET, server=RESET | DEAD, server_limit=2, kill=lambda: w.net.client.kill_sockets(f"state established dport = {net.PORT}"))


def kill_in_handshake_server(w):
    "ss -K in the handshake, the server's"
    w.serve()
    w.net.rule(f"{net.TO_SERVER} {net.REQUEST} drop")
    handshake(w, client=RESET, server=RESET, server_limit=2, kill=lambda: w.net.server.kill_sockets(f"state established sport = {net.PORT}"))


def handshake(w, client, server, server_limit, kill=None):
    """One client, whose handshake meets the fault; it comes back when that is mended."""
    since = time.time()
    w.talkers = [ends.Talker(w, 0.05)]
    until = since + 5
    while kill is not None and kill() == 0 and time.time() < until:
        time.sleep(0.02)
    w.client_finds(since, 2, client)
    w.net.heal()
    w.server_finds(since, server_limit, server, 1)
    w.talkers[0].wait_until(lambda: w.talkers[0].named("open"), 20, "the client to be there")
    time.sleep(0.5)
    w.end_all()


def reset_to_client(w):
    "reset while open, to the client"
    w.open_all()
    w.outage(lambda: w.net.reset(net.TO_SERVER), client=RESET, server=DEAD | RESET)


def reset_to_server(w):
    "reset while open, to the server"
    w.open_all()
    w.outage(lambda: w.net.reset(net.TO_CLIENT), client=DEAD | RESET, server=RESET)


def kill_client(w):
    "ss -K while open, the client's"
    w.open_all()
    w.outage(lambda: w.check(w.net.client.kill_sockets(f"dport = {net.PORT}") > 0, "ss -K killed nothing"), client=RESET, server=RESET)


def kill_server(w):
    "ss -K while open, the server's"
    w.open_all()
    w.outage(lambda: w.check(w.net.server.kill_sockets(f"sport = {net.PORT}") > 0, "ss -K killed nothing"), client=RESET, server=RESET)


def reset_large(w):
    "reset amid messages of 1 MiB"
    w.net.throttle("both", "20mbit")
    w.open_all(load_options=["-s", "1MiB", "-d", "2"])
    w.outage(lambda: w.net.reset("ip length > 1000"), server=RESET | DEAD, n=5)  # the one that talks has lines as long, too


def closing(w, begin, client, server, kill=None):
    """Clients that close while their Close, or its answer, meets the fault. They have what they sent, and nothing to come back for."""
    w.serve()
    w.talkers = [ends.Talker(w, 0.05), ends.Talker(w, 0.05)]
    w.server.wait_until(lambda: len(w.server.opened) == 2, 20, "both clients to be there")
    time.sleep(0.5)
    begin()
    since = time.time()
    for talker in w.talkers:
        talker.hang_up()
    if kill is not None:
        time.sleep(1)  # the Close has been sent, 300 ms after the last echo
        w.check(kill() >= 1, "ss -K killed nothing")
    w.client_finds(since, 5.3, client)  # the Close's own deadline
    w.net.heal()
    w.server_finds(since, 5.3 + w.limit, server)
    w.end_all()
    w.check(w.books.sent == w.books.verified, "something was lost")


def reset_close(w):
    "reset while closing: the Close"
    closing(w, lambda: w.net.reset(f"{net.TO_SERVER} {net.CLOSE}"), client=RESET, server=RESET | DEAD)


def reset_close_answer(w):
    "reset while closing: the answer"
    closing(w, lambda: w.net.reset(f"{net.TO_CLIENT} {net.CLOSE}"), client=RESET | {"WSR_ETIMEOUT_CLOSE"}, server=RESET | CLOSED)


def kill_while_closing(w):
    "ss -K while closing"
    closing(w, lambda: w.net.rule(f"{net.TO_CLIENT} {net.CLOSE} drop"), client=RESET, server=RESET | CLOSED | {"WSR_ETIMEOUT_CLOSE"},
            kill=lambda: w.net.client.kill_sockets(f"dport = {net.PORT}"))


# ---- throttles, cables, sizes ----

def throttle(w):
    "256 kbit/s both ways, messages of 64 KiB"
    w.limit = 10.0
    w.open_all(reconnect=False, load_options=["-s", "64KiB", "-d", "1"])
    w.net.throttle("both", "256kbit", "1s")
    w.trouble(8, lambda: None, after=lambda: w.net.throttle("both", net.LINK_RATE))


def backpressure(w):
    "256 kbit/s to a client that sends 32 MiB"
    w.limit = 40.0
    # What a kernel would hold for megabytes of echoes is nothing to be seen: little of it, and the server has to hold them.
    w.net.server.sysctl("tcp_wmem", "4096 16384 65536")
    w.serve("--message-max", "256KiB")
    w.load = ends.Load(w, "-c", "1", "-d", "512", "-s", "64KiB", "-n", "512", "-t", "600", reconnect=False)
    w.server.wait_until(lambda: w.server.opened, 20, "the client to be there")
    before, samples = w.server.resident(), []
    w.net.throttle("to_client", "256kbit", "400ms")
    for _ in range(40):
        time.sleep(0.5)
        samples.append(w.server.resident())
    w.net.throttle("both", net.LINK_RATE)
    result = w.load.end(w.books, sig=None, seconds=60)
    w.load = None
    w.check(result["complete"] and w.books.sent == 512, f"the load is not complete: {result['messages']} {result['errors']}")
    w.end_all()
    growth, late_growth = max(samples) - before, samples[-1] - samples[-9]
    w.note = f"reader paused {w.server.paused()} x; the server grew by {growth / (1 << 20):.1f} MiB, over the last 4 s by {late_growth / (1 << 20):.1f}"
    w.check(w.server.paused() > 0, "no reader was paused: backpressure was not to be seen")
    w.check(growth < 12 << 20, "the server's memory grew by what was sent, and not by its outbox of 4 MiB")
    w.check(late_growth < 1 << 20, "the server's memory went on growing")


def cable_short(w):
    "cable out for 0.7 s"
    if w.server_kind != "ours":
        w.limit = 6.0  # it gives up within 1 s of a ping whose answer waits for a retransmission
    w.open_all(reconnect=False)

    def flap():
        w.net.cable(False)
        time.sleep(0.7)
        w.net.cable(True)
    w.trouble(3, flap)


def cable_long(w):
    "cable out for longer than the limit"
    w.open_all()
    w.outage(lambda: w.net.cable(False), mend=lambda: w.net.cable(True))


def mtu_told(w):
    "MTU 600 on the way, told by ICMP"
    w.open_all(reconnect=False)
    w.trouble(4, lambda: w.net.mtu(600))


def mtu_fragments(w):
    "MTU 600 on the way, fragmented there"
    for host in (w.net.client, w.net.server):
        host.sysctl("ip_no_pmtu_disc", 1)
    w.open_all(reconnect=False)
    w.trouble(4, lambda: w.net.mtu(600))


def mtu_untold(w):
    "MTU 600 on the way, and nobody is told"
    w.open_all(load_options=["-s", "4KiB"])
    # Pings pass, on connections that send nothing larger: only those that do are dead.
    w.outage(lambda: w.net.mtu(600, told=False), server=DEAD | RESET, mend=lambda: w.net.mtu(1500), n=5)  # the one that talks has lines as long, too


ALL = [loss_1, loss_5, loss_20, late, reordered, hole_both, hole_to_server, hole_to_client, hole_large, server_forgets, server_forgets_silently,
       client_forgets_silently, reset_request, reset_answer, kill_in_handshake, kill_in_handshake_server, reset_to_client, reset_to_server, kill_client,
       kill_server, reset_large, reset_close, reset_close_answer, kill_while_closing, throttle, backpressure, cable_short, cable_long, mtu_told,
       mtu_fragments, mtu_untold]
# Those that read what passes the router find nothing in TLS.
PLAIN = [reset_request, reset_answer, kill_in_handshake, kill_in_handshake_server, reset_close, reset_close_answer, kill_while_closing]
# With another implementation at one end, whose own findings are told and not judged.
MIXED = [hole_both, hole_to_server, hole_to_client, kill_client, kill_server, reset_to_client, reset_to_server, cable_short]
QUICK = [loss_5, hole_both, hole_to_server, reset_to_client, kill_server, cable_short, reset_close]
