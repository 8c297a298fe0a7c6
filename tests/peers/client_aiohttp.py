"""python3-aiohttp as client of `wsring serve`, at PORT; with a second argument, "deflate", compressing."""
import asyncio
import sys

import aiohttp

URL = f"http://127.0.0.1:{sys.argv[1]}/"
DEFLATE = sys.argv[2:] == ["deflate"]


def ok(text):
    print(f"ok - aiohttp{', deflate' if DEFLATE else ''}: {text}")


async def main():
    async with aiohttp.ClientSession() as session:
        async with session.ws_connect(URL, max_msg_size=0, compress=15 if DEFLATE else 0) as ws:
            assert bool(ws.compress) == DEFLATE, ws.compress
            for size in (0, 1, 125, 126, 65535, 65536, 1 << 20):
                await ws.send_bytes(b"\xa5" * size)
                assert await ws.receive_bytes() == b"\xa5" * size
                await ws.send_str("ö" * (size // 2))
                assert await ws.receive_str() == "ö" * (size // 2)
            ok("echoes every length form")
            await ws.ping(b"x")
            await ws.send_str("after the ping")
            assert await ws.receive_str() == "after the ping"
            ok("goes on behind a ping")
            assert await ws.close(code=1000, message=b"done")
            assert ws.close_code == 1000, ws.close_code
            ok("closes with 1000")
        async with session.get(URL) as answer:
            assert answer.status == 426 and answer.headers["Upgrade"] == "websocket", answer
            ok("is told 426 without an upgrade")
        async with session.post(URL, data=b"x") as answer:
            assert answer.status == 405 and answer.headers["Allow"] == "GET", answer
            ok("is told 405 for a POST")


asyncio.run(main())
