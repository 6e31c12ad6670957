"""Torch held to sums in a fixed order, so that the same seed gives the same weights, on any number of cores."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from threadpoolctl import threadpool_limits
from torch.utils import deterministic as memory


@contextmanager
def deterministic() -> Iterator[None]:
    """Ask torch for algorithms that add in a fixed order, and give the setting back.

    Torch then also fills all memory that it takes with NaN, several hundred times in a step of a small transformer;
    nothing here reads memory that nobody has written, so that is left out.
    """
    before = torch.are_deterministic_algorithms_enabled()
    filled = memory.fill_uninitialized_memory  # type: ignore[attr-defined]
    torch.use_deterministic_algorithms(True, warn_only=True)
    memory.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
        memory.fill_uninitialized_memory = filled  # type: ignore[attr-defined]


@contextmanager
def one_thread() -> Iterator[None]:
    """Hold torch to one thread, in the thread that asks: with more, LAPACK and OpenMP sum in another order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def fit_of_small_steps() -> Iterator[None]:
    """Train by many small steps: sums in a fixed order, one thread, and a generator of random numbers of its own.

    A step of a small network is hundreds of products of a few microseconds. A second thread takes a sixth off its time
    where a core is free for it; where none is, every product waits until both threads have had their turn, and a fit
    takes ten times as long and more.
    """
    with deterministic(), one_thread(), threadpool_limits(1, user_api="blas"), torch.random.fork_rng(devices=[]):
        yield
