"""Clients of `make attack` that are processes of their own, so that they wait for nothing but the server.

``hold PORT IDLE DRIPPING`` keeps connections open until it is stopped; ``health PORT`` asks /health ten times a second
until its standard input ends, and prints the longest answer in seconds. ``offer PORT RATE`` reads bodies, a line each,
sends so many a second whether or not the former are answered, and prints status, seconds and seconds of delay of each.
"""

import asyncio
import contextlib
import http.client
import json
import sys
import threading
import time

HEADS = (b"GET /", b"POST /recommend HTTP/1.1\r\nHost: localhost\r\nContent-Length: 900000\r\n\r\n")


async def drip(port: int, head: bytes) -> None:
    """Keep one connection open, a byte a second behind its head; open it anew when it is closed."""
    while True:
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(head)
            closed = asyncio.create_task(reader.read(1000))
            while not closed.done():
                if head:
                    writer.write(b"x")
                await asyncio.wait([closed], timeout=1.0)
            writer.close()
        await asyncio.sleep(0.05)


async def hold(port: int, n_idle: int, n_dripping: int) -> None:
    """Hold idle connections, and as many that drip: every other one a head, every other one a body."""
    heads = [b""] * n_idle + [HEADS[number % 2] for number in range(n_dripping)]
    await asyncio.gather(*(drip(port, head) for head in heads))


def health(port: int) -> float:
    """Return the seconds of the longest answer of /health; infinity where there was none."""
    ended, slowest = threading.Event(), 0.0
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    while not ended.wait(0.1):
        started = time.perf_counter()
        try:
            client = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            client.request("GET", "/health")
            answered = client.getresponse().status == 200
            client.close()
        except OSError:
            answered = False
        slowest = max(slowest, time.perf_counter() - started if answered else float("inf"))
    return slowest


#: Reader, writer, and since when it is free.
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter, float]
#: Seconds after which a free connection is not used again: the server closes it after 5.
FREE_S = 2.0
Told = tuple[int, float, float]


async def offer(port: int, rate: int) -> list[Told]:
    """Send what standard input holds; status 429 stands for a 503 that says when to come again, 0 for no answer."""
    free, bodies = list[Connection](), sys.stdin.buffer.read().splitlines()
    start = time.perf_counter() + 1

    async def one(number: int, body: bytes) -> Told:
        due = start + number / rate
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        sent = time.perf_counter()
        try:
            status = await ask(port, free, body)
        except (OSError, asyncio.IncompleteReadError):
            status = 0
        return status, time.perf_counter() - sent, sent - due

    return await asyncio.gather(*(one(number, body) for number, body in enumerate(bodies)))


async def ask(port: int, free: list[Connection], body: bytes) -> int:
    """Send one body over a connection that is free, or a new one; return the status."""
    while free and time.monotonic() - free[-1][2] > FREE_S:
        free.pop()[1].close()
    reader, writer = free.pop()[:2] if free else await asyncio.open_connection("127.0.0.1", port)
    lines = f"POST /recommend HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(lines.encode() + body)
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    status, length = int(head.split(b" ", 2)[1]), int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
    await reader.readexactly(length)
    free.append((reader, writer, time.monotonic()))
    return 429 if status == 503 and b"\r\nretry-after: " in head else status


if __name__ == "__main__":
    if sys.argv[1] == "hold":
        asyncio.run(hold(*map(int, sys.argv[2:])))
    elif sys.argv[1] == "offer":
        print(json.dumps(asyncio.run(offer(*map(int, sys.argv[2:])))))
    else:
        print(health(int(sys.argv[2])))
