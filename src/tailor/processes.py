"""Work in several processes of this machine: bounded, ended with the one that started them, errors as they are."""

import contextlib
import itertools
import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from tailor.errors import TailorError

T = TypeVar("T")
R = TypeVar("R")
#: Tasks that are handed out for each process: one is done, one waits.
_AHEAD = 2
#: What a process of a pool does with its tasks: one function, unpickled once, when the process starts.
_WORK: list[Callable[[Any], Any]] = []


class ProcessEndedError(TailorError):
    """A process of a pool ended before its work was done."""


def in_processes(work: Callable[[T], R], tasks: Sequence[T], n_processes: int, option: str) -> Iterator[R]:
    """Yield ``work`` of each task, in order; as many are done at a time as there are processes, and few lie ahead.

    Every process is a fresh interpreter (spawn). It is handed ``work`` once, and the tasks one by one; it ends when
    this one does, however that ends.

    Args:
        work: can be pickled, from a module and not from the script that runs; what it loads when it is first called
            stays in its process.
        tasks: can be pickled, and are small.
        n_processes: no more are started than there are tasks.
        option: that ``n_processes`` was set by, for the error.

    Raises:
        ProcessEndedError: the operating system ended a process.
    """
    context, n = multiprocessing.get_context("spawn"), min(n_processes, len(tasks))
    pool = ProcessPoolExecutor(n, mp_context=context, initializer=_start, initargs=(work,))
    running, following = deque[Future[R]](), iter(tasks)
    try:
        with fresh_interpreters():  # all processes start with the first task
            running.extend(pool.submit(_do, task) for task in itertools.islice(following, _AHEAD * n))
        while running:
            result = running.popleft().result()
            running.extend(pool.submit(_do, task) for task in itertools.islice(following, 1))
            yield result
    except BrokenProcessPool:
        raise ProcessEndedError(
            f"A process of {option} = {n_processes} ended before its work was done, for want of memory most likely: "
            f"lower {option}. What is done stays, and the next run goes on from it."
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


@contextlib.contextmanager
def fresh_interpreters() -> Iterator[None]:
    """Let processes that start now import Tailor from where this one did, and not run its script once more.

    They get ``sys.path``, and MLflow puts the code that was logged with a model before all else there. A script without
    ``if __name__ == "__main__"`` would start processes of its own in each of them.
    """
    before, main = list(sys.path), sys.modules["__main__"]
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.path[:], sys.modules["__main__"] = before, main


def _start(work: Callable[[Any], Any]) -> None:
    """Take the work, and end with the process that started this one: a pool does not see that it was killed."""
    _WORK.append(work)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the one that started it hears Ctrl-C too, and ends the pool
    threading.Thread(target=end_with_parent, daemon=True).start()


def end_with_parent() -> None:
    """End this process when the one that started it has ended, however; for a thread."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _do(task: Any) -> Any:
    return _WORK[0](task)
