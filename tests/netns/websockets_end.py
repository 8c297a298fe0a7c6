"""python3-websockets at one end of tests/netns: `server PING_SECONDS` echoes, `client PING_SECONDS` sends, verifies and comes back.

The server prints "open" and "closed CODE"; the client an object for each event as `wsring connect --json` does, and "totals" at its end.
"""
import asyncio
import json
import random
import signal
import sys
import time

import websockets

import net

ROLE, PING = sys.argv[1], float(sys.argv[2])
OPTIONS = {"ping_interval": PING, "ping_timeout": PING, "close_timeout": 0.25, "max_size": None, "compression": None}


async def echo(ws, *_):
    print("open", flush=True)
    try:
        async for message in ws:
            await ws.send(message)
    except websockets.ConnectionClosed:
        pass
    print(f"closed {ws.close_code}", flush=True)


async def serve():
    async with websockets.serve(echo, net.SERVER, net.PORT, **OPTIONS):
        print("listening", flush=True)
        await asyncio.Future()


def tell(name, **more):
    print(json.dumps({"event": name, "time": time.time(), **more}), flush=True)


async def talk(totals, chance):
    """Until the connection ends."""
    async with websockets.connect(f"ws://{net.SERVER}:{net.PORT}/", open_timeout=2, **OPTIONS) as ws:
        tell("open")
        totals["back"] += totals["lost"] > totals["back"]
        try:
            while not totals["stopped"]:
                message = chance.randbytes(chance.randrange(20000)) if chance.random() < 0.5 else "\u00e9" * chance.randrange(5000)
                totals["sent"] += 1
                await ws.send(message)
                echo_of_it = await ws.recv()
                totals["verified" if echo_of_it == message else "wrong"] += 1
                await asyncio.sleep(0.002)
        except websockets.ConnectionClosed:
            totals["lost"] += 1
            totals["in_doubt"] = totals["sent"] - totals["verified"] - totals["wrong"]
            tell("reconnecting", error=str(ws.close_code))


async def client():
    totals = dict.fromkeys(("sent", "verified", "in_doubt", "wrong", "lost", "back", "stopped"), 0)
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, lambda: totals.update(stopped=1))
    chance = random.Random(9)
    while not totals["stopped"]:
        try:
            await talk(totals, chance)
        except (OSError, asyncio.TimeoutError, websockets.WebSocketException):
            tell("failed")
        await asyncio.sleep(0.2)
    tell("totals", **totals)


asyncio.run(serve() if ROLE == "server" else client())
