"""python3-websockets as an echo server for `wsring load`. Prints its port."""
import asyncio

import websockets


async def echo(ws, *_):
    async for message in ws:
        await ws.send(message)


async def main():
    async with websockets.serve(echo, "127.0.0.1", 0, max_size=None) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.Future()


asyncio.run(main())
