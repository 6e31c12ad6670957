"""Two processes over gloo do what one does."""

import contextlib
import os
from unittest.mock import patch

import numpy as np
import pytest
import torch
from torch import distributed

from tailor.errors import BadInputError, ConfigurationError
from tailor.lm import encoder as encoder_module
from tailor.lm import ranks, trainer
from tailor.lm.config import AugmentationOptions, KernelLossOptions, ObjectiveOptions, PeftOptions
from tailor.lm.encoder import encode, load_base
from tailor.processes import ProcessEndedError
from tests.unit.lm.quiet import without_dropout


@pytest.fixture(autouse=True)
def without_gpus(monkeypatch):
    """Two processes need two GPUs where there is one; the processes that are started see none either."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")


def tune(data, options):
    """Tune without what may differ: dropout, and the rounding of bf16, which the padding of a part moves."""
    with (
        patch.object(trainer, "load_base", without_dropout),
        patch.object(encoder_module, "autocast", contextlib.nullcontext),
    ):
        return trainer.tune(data, options, seed=0)


def encode_texts(tokens, options):
    return encode(load_base(options), tokens, 8)


def rank_sums(n):
    """Return, of n rows in parts, all rows, and the gradient of the sum of their squares."""
    rows = torch.arange(float(n)).reshape(n, 1) + 1
    weight = torch.nn.Parameter(torch.ones(1))
    whole = ranks.gather(rows[ranks.own_part(n)] * weight, n)
    whole.pow(2).sum().backward()
    ranks.add_gradients([weight], [])
    return whole.detach().numpy().ravel().tolist(), float(weight.grad)


def end_second(how):
    if ranks.rank() == 0:
        distributed.barrier()
    elif how == "ended":
        os._exit(9)
    else:
        raise BadInputError("the second one found something")


VARIANTS = {
    "kernel": {"objective": ObjectiveOptions(kernel=KernelLossOptions(refresh=16))},
    "contrastive": {"objective": ObjectiveOptions(name="contrastive")},
    "views": {
        "objective": ObjectiveOptions(name="multitask"),
        "augmentation": AugmentationOptions(attribute_drop=0.3, n_views=2, token_mask=0.1, adversarial=0.1),
        "accumulate": 3,
    },
}


@pytest.mark.slow
@pytest.mark.parametrize("name", VARIANTS)
def test_two_processes_have_the_losses_and_the_adapter_of_one(data, options, name):
    settings = options(peft=PeftOptions(lora_dropout=0.0), batch_size=13, **VARIANTS[name])
    alone, history = tune(data, settings)
    shared, of_two = ranks.in_ranks(2, tune, data, settings)
    for row, other in zip(history, of_two, strict=True):
        assert other == pytest.approx(row, rel=1e-4, nan_ok=True)
    moved = max(float(value.abs().max()) for value in alone.weights.values())
    for key, value in alone.weights.items():
        torch.testing.assert_close(shared.weights[key], value, rtol=0, atol=2e-3 * moved)


@pytest.mark.slow
def test_two_processes_encode_to_the_same_rows(data, options, encoder):
    tokens = trainer.Tuning(data, options(epochs=1), seed=0).whole
    alone = encode_texts(tokens, encoder)
    np.testing.assert_allclose(ranks.in_ranks(2, encode_texts, tokens, encoder), alone, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("n", [1, 5])
def test_parts_join_in_order_and_their_gradients_add_up(n):
    rows, gradient = ranks.in_ranks(3, rank_sums, n)
    assert rows == [float(number) for number in range(1, n + 1)]
    assert gradient == 2 * sum(number**2 for number in range(1, n + 1))


def test_one_process_is_the_call_itself():
    assert ranks.in_ranks(1, rank_sums, 3) == ([1.0, 2.0, 3.0], 28.0)
    assert (ranks.size(), ranks.rank(), ranks.own_part(7)) == (1, 0, slice(0, 7))


@pytest.mark.slow
@pytest.mark.parametrize(("how", "reason"), [("ended", "exit code 9"), ("raised", "the second one found something")])
def test_a_process_that_ends_is_told_in_a_sentence(how, reason):
    threads = torch.get_num_threads()
    with pytest.raises(ProcessEndedError, match=rf"lm_finetuning.processes = 2 ended .*{reason}.*lower"):
        ranks.in_ranks(2, end_second, how)
    assert torch.get_num_threads() == threads
    assert not distributed.is_initialized()


def test_more_processes_than_gpus_are_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(ConfigurationError, match="processes = 2, but this machine has 1 GPUs"):
        ranks.in_ranks(2, rank_sums, 3)
