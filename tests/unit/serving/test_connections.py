"""A server of uvicorn with a small app: who sends nothing, or sends slowly, keeps nobody out."""

import asyncio
import contextlib
import socket
import threading
import time

import pytest
import uvicorn

from tailor.serving.connections import allow_files, bounded
from tailor.serving.guards import BoundedBodies


async def big(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"x" * (20_000_000 if scope["path"] == "/big" else 5)})


@contextlib.contextmanager
def serving(max_connections, head_s):
    """The port of a server, and the statuses that it refused before the app."""
    refused = []
    connection = bounded(max_connections, head_s, refused.append)
    app = BoundedBodies(big, seconds=0.5)
    server = uvicorn.Server(
        uvicorn.Config(app, port=0, http=connection, ws="none", lifespan="off", log_level="critical")
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1], refused
    finally:
        server.should_exit = True
        thread.join(20)


def connect(port, data=b""):
    one = socket.create_connection(("127.0.0.1", port), timeout=10)
    one.sendall(data)
    return one


def answered(port, path="/"):
    with connect(port, f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()) as one:
        return one.recv(100).startswith(b"HTTP/1.1 200")


def closed(one, seconds):
    """Whether the other side closes a connection within some seconds."""
    one.settimeout(seconds)
    try:
        return one.recv(1) == b""
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False


def test_idle_connections_keep_nobody_out_and_go_by_themselves():
    with serving(max_connections=20, head_s=0.5) as (port, _):
        idle = [connect(port) for _ in range(60)]
        assert answered(port)
        for one in idle:
            assert closed(one, 5)
        assert answered(port)


def test_where_there_are_too_many_the_one_that_waits_longest_goes():
    with serving(max_connections=3, head_s=60) as (port, _):
        idle = []
        for _ in range(4):
            idle.append(connect(port))
            time.sleep(0.05)
        assert closed(idle[0], 5)
        assert not closed(idle[3], 0.2)


@pytest.mark.parametrize("before", [b"", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"], ids=["first", "kept alive"])
def test_a_head_that_drips_is_given_up(before):
    with serving(max_connections=20, head_s=0.6) as (port, _):
        one = connect(port, before)
        if before:
            assert one.recv(1000).startswith(b"HTTP/1.1 200")
        started = time.monotonic()
        with contextlib.suppress(OSError):
            for letter in b"GET /" + b"a" * 200:
                one.sendall(bytes([letter]))
                time.sleep(0.05)
        assert time.monotonic() - started < 5
        one.close()


def test_a_body_that_drips_is_told_so():
    with serving(max_connections=20, head_s=5) as (port, _):
        one = connect(port, b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")
        assert one.recv(1000).startswith(b"HTTP/1.1 408")


def test_an_answer_that_nobody_reads_is_not_kept():
    with serving(max_connections=20, head_s=0.5) as (port, _):
        one = socket.socket()
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one.connect(("127.0.0.1", port))
        one.sendall(b"GET /big HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        time.sleep(2)
        one.settimeout(5)
        n_read = 0
        with contextlib.suppress(OSError):
            while chunk := one.recv(100_000):
                n_read += len(chunk)
        assert n_read < 20_000_000


def test_what_is_no_http_is_counted():
    with serving(max_connections=20, head_s=5) as (port, refused):
        for head in (
            b"\x00\xff\r\n\r\n",
            b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n",
        ):
            assert connect(port, head).recv(100).startswith(b"HTTP/1.1 400")
        assert refused == [400, 400]


def test_files_are_allowed_as_far_as_may_be(monkeypatch):
    asked = []
    monkeypatch.setattr("resource.getrlimit", lambda _: (1024, 4096))
    monkeypatch.setattr("resource.setrlimit", lambda _, limits: asked.append(limits))
    assert allow_files(2000) == 2000
    assert allow_files(8000) == 4096 - 128
    assert allow_files(500) == 500
    assert asked == [(2128, 4096), (4096, 4096)]


def test_each_server_counts_its_own():
    one, other = (bounded(n, 1.0, print) for n in (1, 2))
    assert one.idle is not other.idle
    assert asyncio.iscoroutinefunction(big)
