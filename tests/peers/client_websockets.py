"""python3-websockets as client of `wsring serve`, at PORT. Prints "ok - ..." a check; an exception is a failure."""
import asyncio
import sys

import websockets

URL = f"ws://127.0.0.1:{sys.argv[1]}/chat?room=1"


def ok(text):
    print(f"ok - websockets: {text}")


async def echoes():
    async with websockets.connect(URL, max_size=None, compression=None) as ws:
        for message in ("hello", b"\x00\x01\xff", "", b"", "é" * 1000, b"x" * 70000, "\N{GRINNING FACE}" * 300000):
            await ws.send(message)
            assert await ws.recv() == message
        ok("echoes text and binary, 0 B to 1.2 MB")
        await ws.send(["fragments ", "of ", "é"])
        assert await ws.recv() == "fragments of é"
        await ws.send([b"a" * 40000, b"", b"b" * 40000])
        assert await ws.recv() == b"a" * 40000 + b"b" * 40000
        ok("puts fragments together")
        pong = await ws.ping(b"are you there")
        await asyncio.wait_for(pong, 5)
        ok("answers a ping")
        for i in range(1000):
            await ws.send(str(i))
        for i in range(1000):
            assert await ws.recv() == str(i)
        ok("keeps 1000 pipelined messages in order")
        await ws.close(1000, "done")
        assert ws.close_code == 1000, ws.close_code
        ok("closes with 1000")


async def codes():
    for code in (1001, 1008, 1012, 1014, 3000, 4999):
        ws = await websockets.connect(URL, compression=None)
        await ws.close(code, "why")
        assert ws.close_code == code, (code, ws.close_code)
    ok("echoes close codes 1001, 1008, 1012, 1014, 3000, 4999")


async def refusals():
    ws = await websockets.connect(URL, compression=None)
    await ws.send(b"")
    ws.transport.write(b"\x81\x81\x00\x00\x00\x00\xff")  # text that is not UTF-8
    try:
        await ws.recv(), await ws.recv()
    except websockets.ConnectionClosed:
        pass
    assert ws.close_code == 1007, ws.close_code
    ok("sees 1007 for text that is not UTF-8")


asyncio.run(echoes())
asyncio.run(codes())
asyncio.run(refusals())
