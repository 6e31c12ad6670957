"""Blocks of rows, several at a time."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Protocol, TypeVar

T = TypeVar("T")
#: Rows of a block.
BLOCK = 256


class BlockMap(Protocol):
    """What calls a function of each part, and yields what it returns in the order of the parts."""

    def __call__(self, work: Callable[[slice], T], parts: list[slice]) -> Iterator[T]:
        """Yield ``work`` of each part."""


def blocks(n: int, size: int = BLOCK) -> list[slice]:
    """Return slices of at most ``size`` rows that cover n rows, in order."""
    return [slice(start, min(start + size, n)) for start in range(0, n, size)]


def in_threads(work: Callable[[slice], T], parts: list[slice]) -> Iterator[T]:
    """Yield ``work`` of each part, in order, as many at a time as there are cores for this process, or as
    ``OMP_NUM_THREADS`` allows.

    For work that spends its time where numpy and scipy release the interpreter lock; no two parts may write to the
    same place.
    """
    return _pool(n_threads()).map(work, parts)


def n_threads() -> int:
    """Return how many threads work at a time: the cores for this process, or ``OMP_NUM_THREADS`` if that is less."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    allowed = os.environ.get("OMP_NUM_THREADS", "")
    return min(cores, int(allowed)) if allowed.isdigit() and int(allowed) else cores


@cache
def _pool(size: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(size, thread_name_prefix="blocks")
