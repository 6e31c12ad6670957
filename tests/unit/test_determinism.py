"""Torch's own settings are those of before, whatever happened in between."""

import pytest
import torch
from torch.utils import deterministic as memory

from tailor.determinism import deterministic, fit_of_small_steps


def settings():
    return torch.are_deterministic_algorithms_enabled(), memory.fill_uninitialized_memory


def test_sums_have_a_fixed_order_and_memory_is_not_filled():
    before = settings()
    with deterministic():
        assert settings() == (True, False)
    assert settings() == before


def test_small_steps_have_one_thread_and_numbers_of_their_own():
    before, state = torch.get_num_threads(), torch.get_rng_state()
    with fit_of_small_steps():
        assert torch.get_num_threads() == 1
        torch.rand(3)
    assert torch.get_num_threads() == before
    assert torch.equal(torch.get_rng_state(), state)


def test_a_failure_gives_the_settings_back():
    before = settings()
    with pytest.raises(KeyboardInterrupt), deterministic():
        raise KeyboardInterrupt
    assert settings() == before
