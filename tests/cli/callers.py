"""callers.py PORT: until SIGINT, a caller every 4 ms, who wants an upgrade, an echo and an end in order. Prints what they got. Exit code 1 if
one was refused, or had its connection ended before it was answered."""
import asyncio
import collections
import signal
import sys
import time

REQUEST = (b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
           b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")
SAY, CLOSE = b"\x82\x82\0\0\0\0hi", b"\x88\x82\0\0\0\0\x03\xe8"
results, slowest, stopped = collections.Counter(), 0.0, False


async def call(port):
    global slowest
    begun = time.monotonic()
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError as error:
        return f"refused ({error.strerror})"
    try:
        writer.write(REQUEST)
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)
        if not head.startswith(b"HTTP/1.1 101"):
            return f"answered {head[9:12].decode()}"
        slowest = max(slowest, time.monotonic() - begun)
        writer.write(SAY + CLOSE)
        rest = await asyncio.wait_for(reader.read(), 20)
        return "served" if rest.startswith(b"\x82\x02hi\x88") else "sent away with 1001" if rest[2:4] == b"\x03\xe9" else f"ended with {rest[:8]}"
    except (asyncio.IncompleteReadError, ConnectionError):
        return "ended before an answer"
    except asyncio.TimeoutError:
        return "not answered for 20 s"
    finally:
        writer.close()


def note(task):
    results[task.result()] += 1


async def main():
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, lambda: globals().update(stopped=True))
    calls = set()
    while not stopped:
        task = asyncio.create_task(call(int(sys.argv[1])))
        task.add_done_callback(note)
        calls.add(task)
        calls = {task for task in calls if not task.done()}
        await asyncio.sleep(0.004)
    await asyncio.gather(*calls)
    print(", ".join(f"{n} {what}" for what, n in results.most_common()) + f"; the slowest was answered after {slowest * 1e3:.0f} ms")
    return 0 if set(results) <= {"served", "sent away with 1001"} else 1


sys.exit(asyncio.run(main()))
