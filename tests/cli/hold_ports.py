#!/usr/bin/env python3
"""hold_ports.py N: N free TCP ports of 127.0.0.1 on one line, kept from everybody else until whoever reads that line is gone.

Bound, but nobody listens: a connection is refused. Nothing that asks for any free port gets one of them; a program told to listen on
one of them by number may, if it sets SO_REUSEADDR as servers do.
"""
import select
import socket
import sys

held = []
for _ in range(int(sys.argv[1])):
    held.append(socket.socket())
    held[-1].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held[-1].bind(("127.0.0.1", 0))
print(*(s.getsockname()[1] for s in held), flush=True)
reader = select.poll()
reader.register(sys.stdout, 0)  # nothing but its end
reader.poll()
