"""A long line with jitter, where the kernel has no netem: delay_line.py NAME MS JITTER_MS makes a TUN device of that name, and gives back
each packet that is sent into it after MS, give or take JITTER_MS. A later packet may overtake an earlier one. Prints a line when it is there."""
import fcntl
import heapq
import os
import random
import select
import struct
import sys
import time

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 1, 0x1000
QUEUE_MAX = 4096  # a line has a length, too

name, delay, jitter = sys.argv[1], float(sys.argv[2]) / 1e3, float(sys.argv[3]) / 1e3
try:
    tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TUN | IFF_NO_PI))
except OSError as error:
    sys.exit(f"delay_line: {error}")
print("ready", flush=True)
chance, held, n = random.Random(1), [], 0
while True:
    wait = max(0.0, held[0][0] - time.monotonic()) if held else None
    if select.select([tun], [], [], wait)[0]:
        try:
            packet = os.read(tun, 65536)
            if len(held) < QUEUE_MAX:
                n += 1
                heapq.heappush(held, (time.monotonic() + delay + chance.uniform(-jitter, jitter), n, packet))
        except OSError:  # the device is not up yet
            time.sleep(0.001)
    while held and held[0][0] <= time.monotonic():
        try:
            os.write(tun, heapq.heappop(held)[2])
        except OSError:
            pass
