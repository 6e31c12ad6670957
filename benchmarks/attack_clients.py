"""Clients of `make attack` that are processes of their own, so that they wait for nothing but the server.

``hold PORT IDLE DRIPPING`` keeps connections open until it is stopped; ``health PORT`` asks /health ten times a second
until its standard input ends, and prints the longest answer in seconds.
"""

import asyncio
import contextlib
import http.client
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


if __name__ == "__main__":
    if sys.argv[1] == "hold":
        asyncio.run(hold(*map(int, sys.argv[2:])))
    else:
        print(health(int(sys.argv[2])))
