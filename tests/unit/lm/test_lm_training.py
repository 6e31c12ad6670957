"""Objectives, augmentation and the training loop."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import sparse

from tailor.data.interactions import category_matrix
from tailor.datasets import AdapterDataset
from tailor.errors import ConfigurationError
from tailor.lm import batching, trainer
from tailor.lm.augment import EmbeddingPerturbation, mask_tokens
from tailor.lm.batching import draw_items
from tailor.lm.checkpoint import Checkpoint
from tailor.lm.config import (
    AugmentationOptions,
    EncoderOptions,
    LMOptions,
    MaskedLMOptions,
    ObjectiveOptions,
    PeftOptions,
)
from tailor.lm.encoder import Tokens, encode, load_base
from tailor.lm.model import ColdRanking, ridge_head
from tailor.lm.objective import (
    CategoryObjective,
    ContrastiveObjective,
    Examples,
    Pairs,
    PairSampler,
    QuadraticObjective,
    build_objective,
)
from tailor.lm.peft import attach, extract
from tailor.lm.trainer import Tuning, tune
from tailor.lm.training_data import TrainingData

ENCODER = EncoderOptions(max_length=16, batch_size=8)


def quadratic(U, X, alpha=0.2, power=0.0, smoothing=0.0):
    return QuadraticObjective(U, sparse.csr_matrix(X), torch.zeros(U.shape[1], 4), alpha, power, smoothing)


def test_the_objective_is_the_implicit_loss_of_the_item():
    rng = np.random.default_rng(0)
    U, X = rng.normal(size=(30, 4)).astype(np.float32), (rng.random((30, 6)) < 0.3).astype(np.float32)
    V = rng.normal(size=(6, 4)).astype(np.float32)
    S = U @ V.T
    rows = np.array([4, 1])
    for target in (1.0, 0.9):
        by_item = (X * (target - S) ** 2 + 0.2 * S**2).sum(axis=0)
        loss = quadratic(U, X, smoothing=1 - target).of_factors(torch.from_numpy(V[rows]), rows)
        assert loss.item() == pytest.approx(by_item[rows].mean(), rel=1e-5)


def test_the_objective_is_least_at_the_als_item_solution():
    rng = np.random.default_rng(0)
    U, X = rng.normal(size=(30, 4)).astype(np.float32), (rng.random((30, 1)) < 0.5).astype(np.float32)
    S = U[X[:, 0] > 0]
    best = np.linalg.solve(S.T @ S + 0.2 * U.T @ U, S.sum(axis=0))[None].astype(np.float32)
    v = torch.tensor(best, requires_grad=True)
    quadratic(U, X, power=0.5).of_factors(v, np.array([0])).backward()
    np.testing.assert_allclose(v.grad.numpy(), 0, atol=1e-4)


def test_ridge_head_recovers_a_linear_map():
    rng = np.random.default_rng(0)
    E, W = rng.normal(size=(200, 5)).astype(np.float32), rng.normal(size=(6, 3))
    V = (np.hstack([E, np.ones((200, 1))]) @ W).astype(np.float32)
    head = ridge_head(E, V, np.ones(200, np.float32), 1e-6)
    np.testing.assert_allclose(head.numpy(), W.T, atol=1e-4)


def test_contrastive_loss_is_a_corrected_softmax_over_allowed_partners():
    # Two items, partners (2, 3); partner 3 is forbidden as a negative of item 0.
    e, p = torch.eye(2), torch.tensor([[1.0, 0.0], [0.6, 0.8]])
    log_q = np.log(np.array([0.1, 0.2, 0.3, 0.4], np.float32))
    pairs = Pairs(np.array([2, 3]), np.array([[False, True], [False, False]]))
    loss = ContrastiveObjective(log_q, temperature=0.5)(Examples(np.array([0, 1]), e, pairs, p)).item()
    second = math.exp(0.8 / 0.5) / 0.4 / (math.exp(0.0) / 0.3 + math.exp(0.8 / 0.5) / 0.4)
    assert loss == pytest.approx((0.0 - math.log(second)) / 2, rel=1e-5)


def test_label_smoothing_of_the_contrastive_loss_spreads_over_allowed_partners():
    pairs = Pairs(np.array([2, 3]), np.zeros((2, 2), bool))
    log_q = np.zeros(4, np.float32)
    loss = ContrastiveObjective(log_q, 1.0, 0.5)(
        Examples(np.array([0, 1]), torch.zeros(2, 3), pairs, torch.zeros(2, 3))
    )
    assert loss.item() == pytest.approx(math.log(2))


def test_partners_are_co_consumed_and_negatives_are_not():
    X = sparse.csr_matrix(np.array([[1, 1, 0, 0, 0], [0, 0, 1, 1, 0], [0, 0, 0, 0, 1]], np.float32))
    sampler, rng = PairSampler(X), np.random.default_rng(0)
    pairs = sampler.draw(np.array([0, 2, 4]), rng)
    assert pairs.partners.tolist() == [1, 3, 4]
    assert not pairs.forbidden.any()
    same_user = sampler.draw(np.array([0, 1]), rng)
    # Item 0's user also consumed item 0's partner's partner: neither is a negative of the other.
    assert same_user.forbidden.tolist() == [[False, True], [True, False]]
    np.testing.assert_allclose(np.exp(sampler.log_q), np.full(5, 1 / 5))


def test_an_item_without_a_partner_adds_no_loss():
    pairs = Pairs(np.array([0, 3]), np.zeros((2, 2), bool))
    embedded = torch.randn(2, 3, requires_grad=True)
    ContrastiveObjective(np.zeros(4, np.float32), 1.0)(Examples(np.array([0, 1]), embedded, pairs, embedded)).backward()
    alone = torch.zeros(2, 3)
    assert (
        ContrastiveObjective(np.zeros(4, np.float32), 1.0)(
            Examples(np.array([0]), alone[:1], Pairs(np.array([0]), np.zeros((1, 1), bool)), alone[:1])
        ).item()
        == 0.0
    )


def test_category_prediction_is_binary_cross_entropy():
    objective = CategoryObjective(sparse.csr_matrix([[1, 0], [0, 0]]), 3)
    with torch.no_grad():
        objective.head.weight.zero_()
        objective.head.bias.copy_(torch.tensor([2.0, 0.0]))
    loss = objective(Examples(np.array([0, 1]), torch.ones(2, 3))).item()
    expected = [math.log(1 + math.exp(-2)), math.log(2), math.log(1 + math.exp(2)), math.log(2)]
    assert loss == pytest.approx(sum(expected) / 4, rel=1e-5)


def test_multitask_needs_a_second_task():
    U, X = np.ones((3, 2), np.float32), sparse.csr_matrix(np.ones((3, 4), np.float32))
    options = ObjectiveOptions(name="multitask", contrastive_weight=0.0)
    with pytest.raises(ConfigurationError, match="has one task only"):
        build_objective(options, U, X, torch.zeros(2, 4), sparse.csr_matrix((4, 0)))


def test_masking_spares_special_tokens_and_padding():
    tokens = Tokens([[1, 5, 6, 2], [1, 2]], pad=0, n_truncated=0, mask=9, special=(0, 1, 2, 9))
    batch, where = mask_tokens(tokens.batch(np.array([0, 1])), tokens, 0.999999, torch.Generator().manual_seed(0))
    assert batch["input_ids"].tolist() == [[1, 9, 9, 2], [1, 2, 0, 0]]
    assert where.sum() == 2


def test_the_adversarial_step_has_its_length_and_raises_the_loss():
    torch.manual_seed(0)
    embedding, target = torch.nn.Embedding(10, 6).requires_grad_(False), torch.randn(2, 6)
    perturbation, seen = EmbeddingPerturbation(embedding), []

    def loss():
        out = embedding(torch.tensor([[1, 2, 3], [4, 5, 6]]))
        seen.append(out)
        return ((out.mean(dim=1) - target) ** 2).sum()

    with perturbation.watch():
        before = loss()
        before.backward()
    with perturbation.perturb(0.1):
        after = loss()
    step = (seen[1] - seen[0]).detach()
    np.testing.assert_allclose(step.norm(dim=(1, 2)), 0.1 * seen[0].detach().norm(dim=(1, 2)), rtol=1e-5)
    assert after > before
    assert loss() == before
    with pytest.raises(RuntimeError, match="comes after a backward pass"), perturbation.perturb(0.1):
        pass


def test_balanced_sampling_draws_rare_items_more_often():
    rng, rows = np.random.default_rng(0), np.arange(2)
    assert sorted(draw_items(np.arange(50), np.ones(50, np.int64), 0.0, rng)) == list(range(50))
    drawn = draw_items(rows.repeat(2000), np.array([100, 1]), 0.5, rng)
    # Chances in proportion to n^-1/2: 1/10 against 1.
    assert (drawn == 1).mean() == pytest.approx(10 / 11, abs=0.02)


@pytest.fixture(scope="module")
def data(planted):
    """A small catalogue whose teacher lives in the clusters of the texts."""
    rng = np.random.default_rng(0)
    items = planted.items.head(80)
    cluster = planted.item_cluster.to_numpy()[:80]
    taste = rng.integers(0, 4, 60)
    X = (rng.random((60, 80)) < np.where(taste[:, None] == cluster, 0.5, 0.02)).astype(np.float32)
    stop = np.arange(80) % 5 == 0
    categories = items[["item_id", "genre"]].rename(columns={"genre": "category"})
    return TrainingData(
        pieces=[[str(t), str(g)] for t, g in zip(items["title"], items["genre"], strict=True)],
        user_factors=np.eye(4, dtype=np.float32)[taste] + 0.05 * rng.normal(size=(60, 4)).astype(np.float32),
        item_factors=np.eye(4, dtype=np.float32)[cluster],
        train=sparse.csr_matrix(X),
        trainable=~stop,
        stop_on=stop,
        categories=category_matrix(items, categories),
    )


def options(**changes):
    return LMOptions(**({"encoder": ENCODER, "epochs": 2, "batch_size": 16} | changes))


def same(adapter, other):
    assert adapter.weights.keys() == other.weights.keys()
    for key, value in adapter.weights.items():
        torch.testing.assert_close(value, other.weights[key], rtol=0, atol=0)
    torch.testing.assert_close(adapter.head["weight"], other.head["weight"], rtol=0, atol=0)


def test_tuning_learns_and_is_deterministic(data):
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
    "masked_lm": {"masked_lm": MaskedLMOptions(epochs=1)},
    "adalora": {"peft": PeftOptions(peft_type="ADALORA", lora_dropout=0.0)},
    "loha": {"peft": PeftOptions(peft_type="LOHA", r=4, alpha=8)},
    "prefix_tuning": {"peft": PeftOptions(peft_type="PREFIX_TUNING")},
    "p_tuning": {"peft": PeftOptions(peft_type="P_TUNING", encoder_hidden_size=16)},
}


@pytest.mark.parametrize("name", VARIANTS)
def test_every_switch_trains(data, name):
    adapter, history = tune(data, options(epochs=1, patience=1, **VARIANTS[name]), seed=0)
    assert len(history) == 2
    assert math.isfinite(history[1]["loss"])
    assert history[1]["cold_ndcg"] > 0
    assert adapter.head["weight"].shape == (4, 385)


@pytest.mark.parametrize("name", ["loha", "p_tuning"])
def test_a_type_of_peft_is_trained_saved_and_attached(data, name, tmp_path):
    tuning = Tuning(data, options(epochs=1, **VARIANTS[name]), seed=0)
    before, tokens = tuning.best, tuning.whole
    tuning.run_epoch()
    trained = encode(tuning.model.encoder, tokens, 8)
    weights, config = extract(tuning.model.encoder)
    assert weights.keys() == before.weights.keys()
    assert any((weights[key] != before.weights[key]).any() for key in weights)
    dataset = AdapterDataset(filepath=str(tmp_path / "adapter"))
    dataset.save(replace(before, weights=weights, config=config))
    attached = attach(load_base(ENCODER), dataset.load(), ENCODER)
    np.testing.assert_allclose(encode(attached, tokens, 8), trained, atol=0.02 * np.abs(trained).max())


def test_adalora_moves_its_ranks_along_the_training_and_starts_over_after_an_interruption(data, tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    tuning = Tuning(data, options(epochs=1, checkpoint=str(path), **VARIANTS["adalora"]), seed=0)
    tuning.run_epoch()
    tuning.save()
    assert not path.exists()
    ranks = [sum(stays) for stays in extract(tuning.model.encoder)[1]["rank_pattern"].values()]
    assert np.mean(ranks) == pytest.approx(8, abs=0.5)
    assert len(set(ranks)) > 1


def test_frozen_trains_the_head_alone(data):
    adapter, history = tune(data, options(peft=PeftOptions(peft_type="FROZEN")), seed=0)
    assert adapter.weights == {}
    assert history[2]["loss"] < history[1]["loss"]


def test_micro_batches_make_the_same_step(data, monkeypatch):
    def without_dropout(encoder):
        base = load_base(encoder)
        for module in base.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        return base

    monkeypatch.setattr(trainer, "load_base", without_dropout)
    plain = options(epochs=1, peft=PeftOptions(lora_dropout=0.0), learning_rate=1e-3)
    _, whole = tune(data, plain, seed=0)
    _, parts = tune(data, plain.model_copy(update={"accumulate": 4}), seed=0)
    assert parts[1]["loss"] == pytest.approx(whole[1]["loss"], rel=1e-4)
    assert parts[1]["cold_ndcg"] == pytest.approx(whole[1]["cold_ndcg"], abs=1e-3)


def test_patience_ends_training(data, monkeypatch):
    values = iter([0.5, 0.4, 0.3, 0.2, 0.1])
    monkeypatch.setattr(ColdRanking, "ndcg", lambda *args: next(values))
    adapter, history = tune(data, options(epochs=5, patience=2), seed=0)
    assert len(history) == 3
    assert adapter.provenance["epoch"] == 0


class KilledError(Exception):
    pass


@pytest.mark.parametrize("ema", [0.0, 0.5])
def test_a_killed_training_resumes_to_the_same_end(data, tmp_path, monkeypatch, ema):
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


def test_a_checkpoint_of_another_training_or_a_broken_one_is_not_taken_up(tmp_path, caplog):
    path = tmp_path / "checkpoint.safetensors"
    assert Checkpoint.load(path, "a") is None
    Checkpoint("a", {"done": 1}, {"x": torch.ones(2)}).save(path)
    assert Checkpoint.load(path, "a").progress == {"done": 1}
    assert Checkpoint.load(path, "b") is None
    path.write_bytes(path.read_bytes()[:-3])
    assert Checkpoint.load(path, "a") is None
    assert "cannot be read" in caplog.text


def test_interactions_outside_the_trainable_items_cannot_leak(data):
    """Plant a leak: rewrite the interactions of every item that is not trainable; training must not notice."""
    poisoned = data.train.tolil()
    poisoned[:, np.flatnonzero(data.stop_on)] = 1.0
    for name in ("implicit_quadratic", "multitask"):
        plain = options(epochs=1, objective=ObjectiveOptions(name=name))
        _, history = tune(data, plain, seed=0)
        _, poisoned_history = tune(replace(data, train=poisoned.tocsr()), plain, seed=0)
        assert history[1]["loss"] == poisoned_history[1]["loss"]
    with pytest.raises(ValueError, match="16 items are both trainable and stopped on"):
        replace(data, trainable=np.ones(80, bool))


def test_masked_lm_needs_a_mask_token(data, monkeypatch):
    without = batching.tokenise([". ".join(row) for row in data.pieces], ENCODER)
    monkeypatch.setattr(batching, "tokenise", lambda *args: replace(without, mask=None))
    with pytest.raises(ConfigurationError, match="has no mask token"):
        tune(data, options(masked_lm=MaskedLMOptions(epochs=1)), seed=0)
