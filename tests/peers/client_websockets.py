"""python3-websockets as client of `wsring serve`, at PORT; with a second argument, "deflate", compressing. Prints "ok - ..." a check; an
exception is a failure."""
import asyncio
import itertools
import random
import sys

import websockets
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

URL = f"ws://127.0.0.1:{sys.argv[1]}/chat?room=1"
COMPRESSION = "deflate" if sys.argv[2:] == ["deflate"] else None


def ok(text):
    print(f"ok - websockets{', deflate' if COMPRESSION else ''}: {text}")


async def echoes():
    async with websockets.connect(URL, max_size=None, compression=COMPRESSION) as ws:
        assert len(ws.extensions) == (1 if COMPRESSION else 0), ws.extensions
        for message in ("hello", b"\x00\x01\xff", "", b"", "é" * 1000, b"x" * 70000, "\N{GRINNING FACE}" * 300000):
            await ws.send(message)
            assert await ws.recv() == message
        ok("echoes text and binary, 0 B to 1.2 MB")
        await ws.send(["fragments ", "of ", "é"])
        assert await ws.recv() == "fragments of é"
        await ws.send([b"a" * 40000, b"", b"b" * 40000])
        assert await ws.recv() == b"a" * 40000 + b"b" * 40000
        await ws.send(["", "the last fragment", ""])
        assert await ws.recv() == "the last fragment"
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
        ws = await websockets.connect(URL, compression=COMPRESSION)
        await ws.close(code, "why")
        assert ws.close_code == code, (code, ws.close_code)
    ok("echoes close codes 1001, 1008, 1012, 1014, 3000, 4999")


async def refusals():
    ws = await websockets.connect(URL, compression=COMPRESSION)
    await ws.send(b"")
    ws.transport.write(b"\x81\x81\x00\x00\x00\x00\xff")  # text that is not UTF-8
    try:
        await ws.recv(), await ws.recv()
    except websockets.ConnectionClosed:
        pass
    assert ws.close_code == 1007, ws.close_code
    ok("sees 1007 for text that is not UTF-8")


def message(kind, i):
    if kind == 0:
        return f'{{"symbol": "BTCUSDT", "price": {i * 7919 % 100000 / 100}, "size": {i % 17}}}' * (1 + i % 5)
    return random.Random(i).randbytes(i * i % 5000)


async def windows():
    """Every window and takeover that this peer can ask for; its zlib has no window of 256 bytes to send with."""
    n = 0
    for server_bits, client_bits, server_none, client_none in itertools.product((None, 8, 9, 12, 15), (None, 9, 12, 15), (0, 1), (0, 1)):
        factory = ClientPerMessageDeflateFactory(
            server_no_context_takeover=bool(server_none), client_no_context_takeover=bool(client_none),
            server_max_window_bits=server_bits, client_max_window_bits=client_bits or True)
        async with websockets.connect(URL, max_size=None, compression=None, extensions=[factory]) as ws:
            agreed = ws.extensions[0]
            assert server_bits is None or agreed.remote_max_window_bits <= server_bits, agreed
            assert client_bits is None or agreed.local_max_window_bits <= client_bits, agreed
            for i in range(20):
                await ws.send(message(i % 2, i))
                assert await ws.recv() == message(i % 2, i), (agreed, i)
            n += 1
    ok(f"agrees on {n} combinations of windows and takeover, and echoes in each")


asyncio.run(echoes())
if COMPRESSION:
    asyncio.run(windows())
asyncio.run(codes())
asyncio.run(refusals())
