"""python3-websockets as an echo server for `wsring load`. Arguments, if TLS is wanted: certificate, key. Prints its port."""
import asyncio
import ssl
import sys

import websockets


async def echo(ws, *_):
    async for message in ws:
        await ws.send(message)


async def main():
    tls = None
    if len(sys.argv) > 1:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(sys.argv[1], sys.argv[2])
    async with websockets.serve(echo, "127.0.0.1", 0, max_size=None, ssl=tls) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.Future()


asyncio.run(main())
