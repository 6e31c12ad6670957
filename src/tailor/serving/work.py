"""Work for requests in threads whose number is bounded, whatever clients do: who comes too late is refused at once."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from tailor.errors import TailorError

T = TypeVar("T")


class BusyError(TailorError):
    """Work that was not begun, and will not be: there is too much of it, or it has waited too long."""


class StillRunningError(TailorError):
    """Work that has begun, takes longer than a client is kept waiting, and goes on to its end."""


class WorkLimit:
    """Runs calls in its own threads: so many at a time, so many more that wait, all others are refused.

    A call that its client no longer waits for holds its place until it ends; one that has not begun by then never
    begins.

    Example:
        >>> limit = WorkLimit(at_once=2, waiting=4, timeout_s=10.0)
        >>> asyncio.run(limit.run(len, "abc"))
        3
    """

    def __init__(self, at_once: int, waiting: int, timeout_s: float) -> None:
        """Start no thread yet.

        Args:
            at_once: calls that run side by side, and so threads.
            waiting: calls that may wait for a thread.
            timeout_s: seconds after which the caller is told.
        """
        self.at_once, self.waiting, self.timeout_s = at_once, waiting, timeout_s
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="tailor-work")
        self._lock = threading.Lock()
        self._n_taken = 0
        self.on_change: Callable[[int], None] = lambda _: None
        """Is given the number of calls that run or wait, whenever it changes."""

    async def run(self, call: Callable[..., T], *args: Any) -> T:
        """Return what a call returns.

        Raises:
            BusyError: it was not begun.
            StillRunningError: it has begun and goes on.
        """
        future = self._submit(call, *args)
        try:
            return await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(future)), self.timeout_s)
        except TimeoutError:
            if future.cancel():
                raise BusyError(f"Not begun within {self.timeout_s:g} s: the server is busy. Ask again.") from None
            if future.done():
                return future.result()
            raise StillRunningError(f"No answer within {self.timeout_s:g} s") from None
        except asyncio.CancelledError:
            future.cancel()
            raise

    def _submit(self, call: Callable[..., T], *args: Any) -> "Future[T]":
        with self._lock:
            if self._n_taken >= self.at_once + self.waiting:
                raise BusyError("The server is busy: as many requests as it takes run or wait. Ask again.")
            self._n_taken += 1
            self.on_change(self._n_taken)
        try:
            future = self._threads.submit(call, *args)
        except RuntimeError:  # the server stops
            self._leave(None)
            raise BusyError("The server stops.") from None
        future.add_done_callback(self._leave)
        return future

    def _leave(self, _: "Future[Any] | None") -> None:
        with self._lock:
            self._n_taken -= 1
            self.on_change(self._n_taken)

    def close(self) -> None:
        """Begin nothing more; what runs goes on to its end."""
        self._threads.shutdown(wait=False, cancel_futures=True)
