"""Blocks of rows, several at a time."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailor.threads import BLOCK, blocks, in_threads


@given(n=st.integers(0, 5 * BLOCK))
def test_blocks_cover_every_row_once_in_order(n):
    parts = blocks(n)
    np.testing.assert_array_equal(
        np.concatenate([np.arange(n)[part] for part in parts] or [np.arange(0)]), np.arange(n)
    )
    assert all(0 < part.stop - part.start <= BLOCK for part in parts)


def test_results_come_in_order_whatever_takes_longest():
    def work(part: slice) -> int:
        time.sleep(0.02 if part.start == 0 else 0)
        return part.start

    parts = blocks(4 * BLOCK)
    assert list(in_threads(work, parts)) == [part.start for part in parts]


def test_what_goes_wrong_in_a_thread_is_raised():
    def work(part: slice) -> int:
        raise ValueError(f"rows {part.start} to {part.stop}")

    with pytest.raises(ValueError, match=f"rows 0 to {BLOCK}"):
        list(in_threads(work, blocks(BLOCK)))
