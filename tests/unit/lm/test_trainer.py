"""The training loop: it learns, is deterministic, and goes on where it was interrupted."""

import contextlib
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from tailor.datasets import AdapterDataset
from tailor.lm import encoder as encoder_module
from tailor.lm import trainer
from tailor.lm.config import (
    AugmentationOptions,
    KernelLossOptions,
    MaskedLMOptions,
    ObjectiveOptions,
    PeftOptions,
)
from tailor.lm.encoder import encode, load_base
from tailor.lm.model import ColdRanking
from tailor.lm.peft import attach, extract
from tailor.lm.trainer import Tuning, tune
from tests.unit.lm.quiet import without_dropout


def same(adapter, other):
    assert adapter.weights.keys() == other.weights.keys()
    for key, value in adapter.weights.items():
        torch.testing.assert_close(value, other.weights[key], rtol=0, atol=0)
    torch.testing.assert_close(adapter.head["weight"], other.head["weight"], rtol=0, atol=0)


def test_tuning_learns_and_is_deterministic(data, options):
    adapter, history = tune(data, options(), seed=0)
    assert [row["epoch"] for row in history] == [0, 1, 2]
    assert history[2]["loss"] < history[1]["loss"]
    assert adapter.provenance["base_hash"]
    assert adapter.provenance["options"]["peft"]["peft_type"] == "LORA"
    again, history_again = tune(data, options(), seed=0)
    assert history[1:] == history_again[1:]
    same(adapter, again)


VARIANTS = {
    "contrastive": {"objective": ObjectiveOptions(name="contrastive")},
    "multitask": {"objective": ObjectiveOptions(name="multitask")},
    "everything": {
        "augmentation": AugmentationOptions(
            attribute_drop=0.3, n_views=2, token_mask=0.1, adversarial=0.1, popularity_balance=0.5
        ),
        "objective": ObjectiveOptions(label_smoothing=0.05),
        "ema": 0.5,
        "gradient_checkpointing": True,
    },
    "kernel_refreshed": {"objective": ObjectiveOptions(kernel=KernelLossOptions(refresh=16))},
    "no_kernel": {"objective": ObjectiveOptions(kernel=KernelLossOptions(weight=0.0))},
    "masked_lm": {"masked_lm": MaskedLMOptions(epochs=1)},
    "adalora": {"peft": PeftOptions(peft_type="ADALORA", lora_dropout=0.0)},
    "loha": {"peft": PeftOptions(peft_type="LOHA", r=4, alpha=8)},
    "prefix_tuning": {"peft": PeftOptions(peft_type="PREFIX_TUNING")},
    "p_tuning": {"peft": PeftOptions(peft_type="P_TUNING", encoder_hidden_size=16)},
}


@pytest.mark.parametrize("name", VARIANTS)
def test_every_switch_trains(data, options, name):
    adapter, history = tune(data, options(epochs=1, patience=1, **VARIANTS[name]), seed=0)
    assert len(history) == 2
    assert math.isfinite(history[1]["loss"])
    assert history[1]["cold_ndcg"] > 0
    assert adapter.head["weight"].shape == (4, 385)


@pytest.mark.parametrize("name", ["loha", "p_tuning"])
def test_a_type_of_peft_is_trained_saved_and_attached(data, options, encoder, name, tmp_path):
    tuning = Tuning(data, options(epochs=1, **VARIANTS[name]), seed=0)
    before, tokens = tuning.best, tuning.whole
    tuning.run_epoch()
    trained = encode(tuning.model.encoder, tokens, 8)
    weights, config = extract(tuning.model.encoder)
    assert weights.keys() == before.weights.keys()
    assert any((weights[key] != before.weights[key]).any() for key in weights)
    dataset = AdapterDataset(filepath=str(tmp_path / "adapter"))
    dataset.save(replace(before, weights=weights, config=config))
    attached = attach(load_base(encoder), dataset.load(), encoder)
    np.testing.assert_allclose(encode(attached, tokens, 8), trained, atol=0.02 * np.abs(trained).max())


def test_adalora_moves_its_ranks_along_the_training_and_starts_over_after_an_interruption(data, options, tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    tuning = Tuning(data, options(epochs=1, checkpoint=str(path), **VARIANTS["adalora"]), seed=0)
    tuning.run_epoch()
    tuning.save()
    assert not path.exists()
    ranks = [sum(stays) for stays in extract(tuning.model.encoder)[1]["rank_pattern"].values()]
    assert np.mean(ranks) == pytest.approx(8, abs=0.5)
    assert len(set(ranks)) > 1


def test_frozen_trains_the_head_alone(data, options):
    adapter, history = tune(data, options(peft=PeftOptions(peft_type="FROZEN")), seed=0)
    assert adapter.weights == {}
    assert history[2]["loss"] < history[1]["loss"]


def test_micro_batches_make_the_same_step(data, options, monkeypatch):
    monkeypatch.setattr(trainer, "load_base", without_dropout)
    # In bf16 the padding of a batch, which micro-batches change, moves the last digits.
    monkeypatch.setattr(encoder_module, "autocast", contextlib.nullcontext)
    plain = options(epochs=1, peft=PeftOptions(lora_dropout=0.0), learning_rate=1e-3)
    _, whole = tune(data, plain, seed=0)
    _, parts = tune(data, plain.model_copy(update={"accumulate": 4}), seed=0)
    assert parts[1]["loss"] == pytest.approx(whole[1]["loss"], rel=1e-4)
    assert parts[1]["cold_ndcg"] == pytest.approx(whole[1]["cold_ndcg"], abs=1e-3)


def test_patience_ends_training(data, options, monkeypatch):
    values = iter([0.5, 0.4, 0.3, 0.2, 0.1])
    monkeypatch.setattr(ColdRanking, "ndcg", lambda *args: next(values))
    adapter, history = tune(data, options(epochs=5, patience=2), seed=0)
    assert len(history) == 3
    assert adapter.provenance["epoch"] == 0


def test_without_items_to_stop_on_all_epochs_run_and_the_last_is_kept(data, options, caplog):
    everything = replace(data, stop_on=np.zeros_like(data.stop_on))
    tuning = Tuning(everything, options(epochs=3, patience=1), seed=0)
    assert "No item is pseudo-cold: the language model takes all of its 3 epochs" in caplog.text
    adapter, history = tune(everything, options(epochs=3, patience=1), seed=0)
    assert [row["epoch"] for row in history] == [0, 1, 2, 3]
    assert all(math.isnan(row["cold_ndcg"]) for row in history)
    assert adapter.provenance["epoch"] == 3
    assert any((adapter.weights[key] != tuning.best.weights[key]).any() for key in adapter.weights)


class KilledError(Exception):
    pass


@pytest.mark.parametrize("ema", [0.0, 0.5])
def test_a_killed_training_resumes_to_the_same_end(data, options, tmp_path, monkeypatch, ema):
    path = tmp_path / "checkpoint.safetensors"
    plain = options(epochs=3, patience=3, ema=ema)
    uninterrupted, expected = tune(data, plain, seed=0)
    resumable = plain.model_copy(update={"checkpoint": str(path)})
    run_epoch = trainer.Tuning.run_epoch

    def killed_in_the_second(tuning):
        if tuning.done == 1:
            raise KilledError
        run_epoch(tuning)

    monkeypatch.setattr(trainer.Tuning, "run_epoch", killed_in_the_second)
    with pytest.raises(KilledError):
        tune(data, resumable, seed=0)
    assert path.is_file()
    ran = []
    monkeypatch.setattr(trainer.Tuning, "run_epoch", lambda tuning: (ran.append(tuning.done + 1), run_epoch(tuning)))
    resumed, history = tune(data, resumable, seed=0)
    assert ran == [2, 3]
    assert history[1:] == expected[1:]
    same(resumed, uninterrupted)
    assert not path.exists()


def test_tuning_goes_on_from_the_adapter_of_another_catalogue(data, options, tmp_path):
    untrained = Tuning(data, options(), seed=0).best
    first = replace(untrained, weights={name: value + 0.05 for name, value in untrained.weights.items()})
    first.write(tmp_path / "adapter")
    on = options(adapter_from=str(tmp_path / "adapter"))
    tuning = Tuning(data, on, seed=1)
    torch.testing.assert_close(extract(tuning.model.encoder)[0], first.weights, rtol=0, atol=0)
    afresh = Tuning(data, options(), seed=1)
    rows = tuning.rows
    assert np.abs(tuning._embed_now(rows) - afresh._embed_now(rows)).max() > 0.05
    assert len(tuning.best.provenance["started_from"]) == 16
    assert afresh.best.provenance["started_from"] == ""
    assert tuning._fingerprint() != afresh._fingerprint()


def test_more_items_than_the_kernel_takes_are_tuned_by_the_head_alone(data, options, caplog):
    """To the bit as without the kernel's loss; the epochs are compared by what the head predicts."""
    caplog.set_level("INFO", "tailor.lm.trainer")
    n = int(data.trainable.sum())
    kernels = {"at the bound": {"items": n}, "above": {"items": n - 1}, "off": {"weight": 0.0}}
    arms = {
        name: tune(data, options(epochs=1, objective=ObjectiveOptions(kernel=KernelLossOptions(**kernel))), seed=0)
        for name, kernel in kernels.items()
    }
    same(arms["above"][0], arms["off"][0])
    assert arms["above"][1][1:] == arms["off"][1][1:]
    assert arms["at the bound"][1][1]["loss"] != arms["off"][1][1]["loss"]
    told = [record.getMessage() for record in caplog.records if "kernel.items" in record.getMessage()]
    assert told == [
        f"{n} items are tuned on, more than lm_finetuning.objective.kernel.items = {n - 1}: without the kernel's loss"
    ]
