"""Connections of the server: who sends no request is not waited for, and cannot keep others out.

Uvicorn bounds how long an answered connection may be idle. It does not bound the time until a request's head is there,
and counts idle connections where it bounds requests; both are done here.
"""

import asyncio
import resource
from collections.abc import Callable

from uvicorn.protocols.http.h11_impl import H11Protocol

#: Of files that a process may open, those kept for all else: the store, the package, the log.
_OTHER_FILES = 128


class BoundedConnection(H11Protocol):
    """One connection of a server whose connections are bounded; see :func:`bounded`."""

    max_connections: int
    head_s: float
    refused: Callable[[int], None]
    #: Connections that have not sent the head of a request, the one that waits longest first.
    idle: dict["BoundedConnection", asyncio.TimerHandle]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection; where there are too many, let the one go that has said nothing for longest."""
        super().connection_made(transport)
        if len(self.connections) > self.max_connections:
            next(iter(self.idle), self).let_go()
        if not transport.is_closing():
            self._watch()

    def data_received(self, data: bytes) -> None:
        """Take bytes."""
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        super().on_response_complete()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget a connection."""
        self._forget()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP, and count it."""
        self.refused(400)
        super().send_400_response(msg)

    def _watch(self) -> None:
        """Start the clock where a request is awaited, or an answer is not read; stop it while one is made."""
        if self.cycle is not None and not self.cycle.response_complete:
            self._forget()
        elif self not in self.idle:
            self.idle[self] = self.loop.call_later(self.head_s, self.let_go)

    def _forget(self) -> None:
        timer = self.idle.pop(self, None)
        if timer is not None:
            timer.cancel()

    def let_go(self) -> None:
        """Close a connection that sends no request."""
        self._forget()
        self.transport.abort()


def bounded(max_connections: int, head_s: float, refused: Callable[[int], None]) -> type[BoundedConnection]:
    """Return the class of connections for a server.

    Args:
        max_connections: open at the same time; from there on those that send nothing are closed, the oldest first.
        head_s: seconds in which the head of a request must have come, from the start or from the last answer on.
        refused: is told the status of what was refused before the app saw it.
    """
    fields = {"max_connections": max_connections, "head_s": head_s, "refused": staticmethod(refused), "idle": {}}
    return type("Connection", (BoundedConnection,), fields)


def allow_files(n: int) -> int:
    """Raise the number of files that this process may open, as far as it may; return how many connections that allows.

    Args:
        n: connections that are wanted.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = n + _OTHER_FILES if hard == resource.RLIM_INFINITY else min(n + _OTHER_FILES, hard)
    if most > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return max(1, min(n, max(most, soft) - _OTHER_FILES))
