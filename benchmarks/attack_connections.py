"""Connections of `make attack`: `python benchmarks/attack_connections.py PORT IDLE DRIPPING`, until it is stopped."""

import asyncio
import contextlib
import sys

HEADS = (b"GET /", b"POST /recommend HTTP/1.1\r\nHost: localhost\r\nContent-Length: 900000\r\n\r\n")


async def hold(port: int, head: bytes) -> None:
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


async def main(port: int, n_idle: int, n_dripping: int) -> None:
    """Hold idle connections, and as many that drip: every other one a head, every other one a body."""
    heads = [b""] * n_idle + [HEADS[number % 2] for number in range(n_dripping)]
    await asyncio.gather(*(hold(port, head) for head in heads))


if __name__ == "__main__":
    asyncio.run(main(*map(int, sys.argv[1:])))
