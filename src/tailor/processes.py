"""Work in several processes of this machine: bounded, ended with the one that started them, errors as they are."""

import contextlib
import itertools
import multiprocessing
import os
import signal
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from enum import Enum, auto
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, TypeVar, cast

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


class _Kind(Enum):
    """What a process beside this one sends."""

    WORD = auto()
    RESULT = auto()
    ERROR = auto()


class Beside(Generic[R]):
    """One task that a process does while this one goes on; :func:`beside` starts it and ends it."""

    def __init__(self, process: SpawnProcess, connection: Connection) -> None:
        self._process, self._connection = process, connection
        self._outcome: tuple[_Kind, Any] | None = None

    def words(self) -> Iterator[Any]:
        """Yield what the task tells, as it comes, until it is done.

        Raises:
            ProcessEndedError: the operating system ended the process.
        """
        while self._outcome is None:
            try:
                kind, sent = self._connection.recv()
            except EOFError:
                raise ProcessEndedError(
                    "A process that fitted a model ended before its work was done, for want of memory most likely: "
                    "set OMP_NUM_THREADS=1, then models are fitted one after another."
                ) from None
            if kind is _Kind.WORD:
                yield sent
            else:
                self._outcome = kind, sent

    def result(self) -> R:
        """Wait for the task and return its result, or raise its error."""
        deque(self.words(), maxlen=0)
        kind, sent = cast(tuple[_Kind, Any], self._outcome)
        if kind is _Kind.ERROR:
            raise sent
        return cast(R, sent)


@contextlib.contextmanager
def beside(work: Callable[[T, Callable[[Any], None]], R], tasks: Sequence[T]) -> Iterator[list[Beside[R]]]:
    """Start a process for each task; those that still work when the context is left are ended.

    Every process is a fresh interpreter (spawn); it ends when this one does, however that ends.

    Args:
        work: gets a task, and a function that sends a word of how far it is; it can be pickled.
        tasks: can be pickled.
    """
    context, jobs, started = multiprocessing.get_context("spawn"), list[Beside[R]](), list[SpawnProcess]()
    try:
        for task in tasks:
            here, there = context.Pipe(duplex=False)
            process = context.Process(target=_do_beside, args=(there, work, task))
            with fresh_interpreters():
                process.start()
            started.append(process)
            there.close()  # so that its end is heard here
            jobs.append(Beside(process, here))
        yield jobs
    finally:
        for process in started:
            process.terminate()
            process.join()


def _do_beside(connection: Connection, work: Callable[[Any, Callable[[Any], None]], Any], task: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the one that started it hears Ctrl-C too, and ends it
    threading.Thread(target=end_with_parent, daemon=True).start()
    try:
        sent = _Kind.RESULT, work(task, lambda word: connection.send((_Kind.WORD, word)))
    except Exception as error:
        if not isinstance(error, TailorError):
            error.add_note(traceback.format_exc())
        sent = _Kind.ERROR, error
    connection.send(sent)


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
