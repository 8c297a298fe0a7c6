#!/usr/bin/env python3
"""Runs a command on a terminal of its own, types into it, and prints what it shows.

    terminal.py TYPED WANTED... -- COMMAND...

Types TYPED (with \\n, \\x04) when the first WANTED has been shown, waits for the others in order, and exits with the command's exit code;
20 s without the next one are a failure. Standard error stays what it is.
"""
import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios

typed, rest = sys.argv[1], sys.argv[2:]
wanted, command = rest[:rest.index("--")], rest[rest.index("--") + 1:]
master, slave = pty.openpty()
fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
child = subprocess.Popen(command, stdin=slave, stdout=slave, start_new_session=True)
os.close(slave)
shown = b""
at = 0


def show():
    """Takes in what the terminal shows; False at its end."""
    global shown
    if not select.select([master], [], [], 20)[0]:
        child.kill()
        sys.exit(f"nothing more after {shown!r}")
    try:
        more = os.read(master, 65536)
    except OSError:  # nobody has the other end open any more
        more = b""
    shown += more
    return bool(more)


for i, text in enumerate(wanted):
    text = text.encode().decode("unicode_escape").encode("latin-1")
    while shown.find(text, at) < 0:
        if not show():
            sys.exit(f"{text!r} was not shown: {shown!r}")
    at = shown.find(text, at) + len(text)
    if i == 0:
        os.write(master, typed.encode().decode("unicode_escape").encode("latin-1"))
while show():
    pass
sys.stdout.buffer.write(shown)
sys.exit(child.wait(20))
