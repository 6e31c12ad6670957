"""What stands before the routes: ASGI layers that look at hosts, origins, the token and the size of bodies.

They see a request before a byte of its body is read, and every answer, whoever made it. No name, id or body is logged.
"""

import asyncio
import base64
import binascii
import json
import logging
import os
import secrets
import time
import traceback
from collections.abc import Iterable, Sequence
from urllib.parse import urlsplit

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger(__name__)

MAX_BODY = 1_000_000
#: Bytes of bodies that are held at the same time, of all connections.
MAX_HELD = 64_000_000
#: Of a body that is too large, the bytes that are let go by, and the seconds for it: who sends a little too much reads
#: the refusal, where a connection that is closed at once would be all that it sees.
_LET_BY, _LET_BY_S = 4_000_000, 1.0
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
#: What answers without a token; what takes it as the password of a browser's own dialog, too.
OPEN, FOR_BROWSERS = ("/", "/health"), ("/docs", "/openapi.json")
_SAFE = ("GET", "HEAD", "OPTIONS")
_ALWAYS = {
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"x-frame-options": b"DENY",
    b"content-security-policy": b"default-src 'none'; frame-ancestors 'none'",
    b"cross-origin-resource-policy": b"same-origin",
    b"cache-control": b"no-store",
}
#: Folder where the processes of one server write their figures; prometheus_client looks when it is imported.
METRICS_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
FAULT = "The server has made a mistake; its log says of what kind. Your request was not answered."


class Meter:
    """Prometheus figures of one app; where several processes serve it, of all of them."""

    def __init__(self) -> None:
        """Count from 0; gauges of several processes are their sum, or what was set last."""
        self.registry = CollectorRegistry()
        labels = ["route", "status"]
        self.requests = Counter("tailor_requests", "Requests answered", labels, registry=self.registry)
        self.seconds = Histogram("tailor_request_seconds", "Time to answer", ["route"], registry=self.registry)
        self.version = Gauge(
            "tailor_model_version", "Version that answers", registry=self.registry, multiprocess_mode="livemostrecent"
        )
        self.items = Gauge(
            "tailor_items", "Items of the catalogue", registry=self.registry, multiprocess_mode="livemostrecent"
        )
        lost = "Exposures that the database did not take since the start"
        self.exposures_lost = Counter("tailor_exposures_lost", lost, registry=self.registry)
        self.taken = Gauge(
            "tailor_work", "Requests that run or wait", ["kind"], registry=self.registry, multiprocess_mode="livesum"
        )

    def count(self, route: str, status: int, seconds: float = 0.0) -> None:
        """Count an answer."""
        self.requests.labels(route, status).inc()
        self.seconds.labels(route).observe(seconds)

    def text(self) -> bytes:
        """Return the figures as Prometheus reads them."""
        if METRICS_VARIABLE not in os.environ:
            return generate_latest(self.registry)
        of_all = CollectorRegistry()
        MultiProcessCollector(of_all)  # type: ignore[no-untyped-call]
        return generate_latest(of_all)


async def refuse(send: Send, status: int, detail: str, headers: Iterable[tuple[bytes, bytes]] = ()) -> None:
    """Answer with one sentence."""
    body = json.dumps({"detail": detail}).encode()
    lines = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *headers]
    await send({"type": "http.response.start", "status": status, "headers": lines})
    await send({"type": "http.response.body", "body": body})


def header(scope: Scope, name: bytes) -> str | None:
    """Return a header that stands there once; None where it does not, or does several times."""
    values = [value for key, value in scope["headers"] if key == name]
    return values[0].decode("latin-1") if len(values) == 1 else None


class Metered:
    """Counts every answer; what nobody caught becomes a 500 with a fixed sentence, and a line of the log."""

    def __init__(self, app: ASGIApp, meter: Meter) -> None:
        self.app, self.meter = app, meter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        started, status = time.perf_counter(), 0

        async def seen(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, seen)
        except Exception as problem:
            log.error("A request failed: %s", _kind_and_place(problem))
            if not status:
                await refuse(seen, 500, FAULT)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            if status:
                self.meter.count(route, status, time.perf_counter() - started)
        return None


def _kind_and_place(problem: BaseException) -> str:
    """Return the class of an exception and where it was raised, not its message, which may name ids."""
    frames = [
        f"{frame.filename}:{frame.lineno} in {frame.name}" for frame in traceback.extract_tb(problem.__traceback__)
    ]
    return f"{type(problem).__name__}, raised at {' < '.join(reversed(frames[-8:]))}"


class SecurityHeaders:
    """Adds what tells a browser to guess no types, frame nothing, pass no address on and keep no answer."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""

        async def completed(message: Message) -> None:
            if message["type"] == "http.response.start":
                there = {key.lower() for key, _ in message["headers"]}
                added = [(key, value) for key, value in _ALWAYS.items() if key not in there]
                message = {**message, "headers": [*message["headers"], *added]}
            await send(message)

        await self.app(scope, receive, completed if scope["type"] == "http" else send)


class KnownHosts:
    """Answers only to names that the server is known by, so that no other name can be pointed at it.

    What is not safe (PUT, DELETE, POST) comes from no page of another origin.
    """

    def __init__(self, app: ASGIApp, hosts: Sequence[str]) -> None:
        """Take the names beside those of loopback.

        Args:
            app: what is asked.
            hosts: without ports; ``*`` stands for any.
        """
        self.app, self.added, self.any = app, frozenset(name.lower() for name in hosts) - LOOPBACK, "*" in hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] == "http" and scope["path"] != "/health":
            name = host_of(header(scope, b"host"))
            if name is None:
                return await refuse(send, 400, "A request names its host, once: Host: ...")
            if not self.any and name not in LOOPBACK | self.added:
                advice = "Add it to --hosts or TAILOR_HOSTS where it is a name of this server."
                return await refuse(send, 421, f"The host {name[:50]!r} is not known here. {advice}")
            if scope["method"] not in _SAFE and not self._from_here(scope):
                return await refuse(send, 403, "A page of another origin may not ask this.")
        return await self.app(scope, receive, send)

    def _from_here(self, scope: Scope) -> bool:
        """Whether a request comes from no page, or from one of this server, also by its public name at a proxy."""
        if not any(key == b"origin" for key, _ in scope["headers"]):
            return header(scope, b"sec-fetch-site") in (None, "none", "same-origin")
        origin = header(scope, b"origin") or "null"
        try:
            netloc = urlsplit(origin).netloc.lower()
        except ValueError:
            return False
        same = netloc and netloc == (header(scope, b"host") or "").lower()
        return bool(same or netloc in self.added)


def host_of(value: str | None) -> str | None:
    """Return the name in a Host header without its port; None where there is none.

    >>> host_of("Shop.example:5071"), host_of("[::1]:80"), host_of(""), host_of("a@b")
    ('shop.example', '::1', None, None)
    """
    if not value or any(mark in value for mark in "@/?# \t"):
        return None
    name = value[1:].partition("]")[0] if value.startswith("[") else value.partition(":")[0]
    return name.lower().rstrip(".") or None


class TokenNeeded:
    """Asks for the token before a byte of the body is read."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self.app, self.token = app, token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] == "http" and self.token and scope["path"] not in OPEN:
            page = scope["method"] in _SAFE and scope["path"].startswith(FOR_BROWSERS)
            if not self._right(header(scope, b"authorization") or "", page):
                challenge = b'Basic realm="Tailor: the token is the password"' if page else b"Bearer"
                detail = "A token is needed: Authorization: Bearer ..."
                return await refuse(send, 401, detail, [(b"www-authenticate", challenge)])
        return await self.app(scope, receive, send)

    def _right(self, authorization: str, page: bool) -> bool:
        scheme, _, value = authorization.strip().partition(" ")
        given = value.strip().encode("latin-1", "replace")
        if page and scheme.lower() == "basic":
            try:
                given = base64.b64decode(given, validate=True).partition(b":")[2]
            except binascii.Error:
                return False
        elif scheme.lower() != "bearer":
            return False
        return secrets.compare_digest(given, self.token)


class BoundedBodies:
    """Reads whole bodies: not more of them than is allowed, and no longer than it is worth waiting for."""

    def __init__(self, app: ASGIApp, seconds: float, max_body: int = MAX_BODY, max_held: int = MAX_HELD) -> None:
        """Hold nothing yet.

        Args:
            app: what is asked.
            seconds: in which a body must have come.
            max_body: bytes of one body.
            max_held: bytes of all bodies that are held.
        """
        self.app, self.seconds, self.max_body, self.max_held = app, seconds, max_body, max_held
        self.held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on with its whole body, or refuse it."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        body = bytearray()
        try:
            async with asyncio.timeout(self.seconds):
                problem = self._declared(scope) or await self._read(receive, body)
        except TimeoutError:
            problem = (408, f"The body did not come within {self.seconds:g} s")
        try:
            if problem is None:
                return await self.app(scope, _replayed(bytes(body), receive), send)
            if problem[0] == 413:
                await _let_by(receive)
            if problem[0]:
                await refuse(send, *problem, [(b"retry-after", b"1")] if problem[0] == 503 else [])
            return None
        finally:
            self.held -= len(body)

    def _declared(self, scope: Scope) -> tuple[int, str] | None:
        """Refuse a body by what its header says of it."""
        length = header(scope, b"content-length") or "0"
        if not length.isdecimal():
            return 400, "The Content-Length is no number"
        return (413, f"The body is larger than {self.max_body} bytes") if int(length) > self.max_body else None

    async def _read(self, receive: Receive, body: bytearray) -> tuple[int, str] | None:
        """Read a body to its end; return what is wrong, status 0 where the client has gone."""
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return 0, ""
            chunk = message.get("body", b"")
            if len(body) + len(chunk) > self.max_body:
                return 413, f"The body is larger than {self.max_body} bytes"
            if self.held + len(chunk) > self.max_held:
                return 503, "The server holds as many bytes of requests as it may. Ask again."
            body += chunk
            self.held += len(chunk)
            more = message.get("more_body", False)
        return None


async def _let_by(receive: Receive) -> None:
    """Read on without keeping anything, to the end of a body or of patience."""
    left, more = _LET_BY, True
    try:
        async with asyncio.timeout(_LET_BY_S):
            while more and left > 0:
                message = await receive()
                left -= len(message.get("body", b""))
                more = message.get("more_body", False)
    except TimeoutError:
        return


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Return a receive that gives a body at once, and then what comes after it."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
