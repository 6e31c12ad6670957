"""Blocks of rows, several at a time."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

import torch

T = TypeVar("T")
#: Rows of a block.
BLOCK = 256


def blocks(n: int) -> list[slice]:
    """Return slices that cover n rows, in order."""
    return [slice(start, min(start + BLOCK, n)) for start in range(0, n, BLOCK)]


def in_threads(work: Callable[[slice], T], parts: list[slice]) -> Iterator[T]:
    """Yield ``work`` of each part, in order, as many at a time as torch has threads.

    For work that spends its time where numpy and scipy release the interpreter lock; it must not write what it shares.
    """
    return _pool(torch.get_num_threads()).map(work, parts)


@cache
def _pool(size: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(size, thread_name_prefix="blocks")
