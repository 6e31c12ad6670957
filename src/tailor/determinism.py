"""Torch held to sums in a fixed order, so that the same seed gives the same weights."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.utils import deterministic as memory


@contextmanager
def deterministic() -> Iterator[None]:
    """Ask torch for algorithms that add in a fixed order, and give the setting back.

    Torch then also fills all memory that it takes with NaN, several hundred times in a step of a small transformer;
    nothing here reads memory that nobody has written, so that is left out.
    """
    before, filled = torch.are_deterministic_algorithms_enabled(), memory.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True, warn_only=True)
    memory.fill_uninitialized_memory = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
        memory.fill_uninitialized_memory = filled
