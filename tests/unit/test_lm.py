"""Texts, the objective, and the invariants of LoRA."""

import numpy as np
import pandas as pd
import pytest
import torch
from peft import PeftModel
from scipy import sparse

from tailor.datasets import AdapterDataset
from tailor.errors import ConfigurationError
from tailor.lm.adapter import Adapter, add_lora, attach, extract
from tailor.lm.encoder import encode, load_base, model_path, normalise, pool, tokenise
from tailor.lm.objective import QuadraticObjective
from tailor.lm.text import item_texts
from tailor.lm.train import ridge_head, tune_lora
from tailor.lm.vectors import join_vectors
from tailor.options import EncoderOptions, LMOptions, LoraOptions, TextOptions

ENCODER = EncoderOptions(max_length=16, batch_size=4)
TEXTS = ["a slow space opera", "romance in paris", "a", "ghost ghost ghost in the haunted house on the hill", "cowboys"]


def test_missing_pieces_are_left_out():
    items = pd.DataFrame(
        {
            "title": ["Amélie &amp; co", "Heat", None],
            "year": [2001.0, np.nan, 1999.0],
            "genres": ["Comedy", "Unknown", "  "],
        }
    )
    texts = item_texts(items, TextOptions(item_template=["{title} ({year})", "{title}", "genres: {genres}"]))
    assert texts.tolist() == ["Amélie & co (2001). Amélie & co. genres: Comedy", "Heat", ""]


def test_template_column_that_does_not_exist():
    with pytest.raises(ConfigurationError, match=r"names a column 'titel'.*Did you mean 'title'\?"):
        item_texts(pd.DataFrame({"title": ["x"]}), TextOptions(item_template=["{titel}"]))


def test_the_objective_is_the_implicit_loss_of_the_item():
    rng = np.random.default_rng(0)
    U, X = rng.normal(size=(30, 4)).astype(np.float32), (rng.random((30, 6)) < 0.3).astype(np.float32)
    objective = QuadraticObjective.build(U, sparse.csr_matrix(X), alpha=0.2, power=0.0)
    V = rng.normal(size=(6, 4)).astype(np.float32)
    S = U @ V.T
    by_item = (X * (1 - S) ** 2 + 0.2 * S**2).sum(axis=0)
    rows = np.array([4, 1])
    assert objective.loss(torch.from_numpy(V[rows]), rows).item() == pytest.approx(by_item[rows].mean(), rel=1e-5)


def test_the_objective_is_least_at_the_als_item_solution():
    rng = np.random.default_rng(0)
    U, X = rng.normal(size=(30, 4)).astype(np.float32), (rng.random((30, 1)) < 0.5).astype(np.float32)
    objective = QuadraticObjective.build(U, sparse.csr_matrix(X), alpha=0.2, power=0.5)
    S = U[X[:, 0] > 0]
    best = np.linalg.solve(S.T @ S + 0.2 * U.T @ U, S.sum(axis=0))[None].astype(np.float32)
    v = torch.tensor(best, requires_grad=True)
    objective.loss(v, np.array([0])).backward()
    np.testing.assert_allclose(v.grad.numpy(), 0, atol=1e-4)


def test_ridge_head_recovers_a_linear_map():
    rng = np.random.default_rng(0)
    E, W = rng.normal(size=(200, 5)).astype(np.float32), rng.normal(size=(6, 3))
    V = (np.hstack([E, np.ones((200, 1))]) @ W).astype(np.float32)
    head = ridge_head(E, V, np.ones(200, np.float32), 1e-6)
    np.testing.assert_allclose(head.numpy(), W.T, atol=1e-4)


@pytest.fixture(scope="module")
def tokens():
    return tokenise(TEXTS, ENCODER)


@pytest.fixture(scope="module")
def frozen(tokens):
    return encode(load_base(ENCODER), tokens, 4)


def noisy_lora():
    torch.manual_seed(0)
    model = add_lora(load_base(ENCODER), LoraOptions(dropout=0.0))
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "lora_B" in name:
                p.normal_(std=0.02)
    return model


def test_packaged_model_is_found_and_others_are_explained():
    assert model_path("some/hub-id") == "some/hub-id"
    with pytest.raises(ConfigurationError, match="no installed package 'nowhere' carries a model folder"):
        model_path("packaged:nowhere")


def test_truncation_is_counted():
    assert tokenise(TEXTS, EncoderOptions(max_length=6)).n_truncated == 1
    assert tokenise(TEXTS, ENCODER).n_truncated == 0


def test_batch_size_and_order_do_not_change_embeddings(tokens, frozen):
    np.testing.assert_allclose(encode(load_base(ENCODER), tokens, 1), frozen, atol=2e-5)
    turned = encode(load_base(ENCODER), tokenise(TEXTS[::-1], ENCODER), 3)[::-1]
    np.testing.assert_allclose(turned, frozen, atol=2e-5)


def test_an_untrained_adapter_is_the_identity(tokens, frozen):
    model = add_lora(load_base(ENCODER), LoraOptions()).eval()
    np.testing.assert_allclose(encode(model, tokens, 4), frozen, atol=1e-6)


def test_only_the_adapter_gets_gradients_and_the_base_stays(tokens):
    model = noisy_lora().train()
    before = {name: p.detach().clone() for name, p in model.named_parameters() if "lora_" not in name}
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    pool(model, tokens.batch(np.arange(5))).square().sum().backward()
    optimizer.step()
    trained = {name for name, p in model.named_parameters() if p.grad is not None}
    assert trained
    assert all("lora_" in name for name in trained)
    for name, p in model.named_parameters():
        if name in before:
            torch.testing.assert_close(p, before[name], rtol=0, atol=0)
    share = sum(p.numel() for p in model.parameters() if p.requires_grad) / sum(p.numel() for p in model.parameters())
    assert share < 0.05


def test_merged_equals_unmerged_and_survives_the_disk(tokens, frozen, tmp_path):
    model = noisy_lora().eval()
    unmerged = encode(model, tokens, 4)
    assert np.abs(unmerged - frozen).max() > 1e-3
    weights, config = extract(model)
    dataset = AdapterDataset(filepath=str(tmp_path / "adapter"))
    dataset.save(Adapter(weights, config, {"weight": torch.zeros(2, 3)}, {"seed": 0}))
    merged = attach(load_base(ENCODER), dataset.load(), ENCODER)
    np.testing.assert_allclose(encode(merged, tokens, 4), unmerged, atol=1e-5)
    by_peft = PeftModel.from_pretrained(load_base(ENCODER), str(tmp_path / "adapter")).eval()
    np.testing.assert_allclose(encode(by_peft, tokens, 4), unmerged, atol=1e-6)


def test_no_module_matched():
    with pytest.raises(ConfigurationError, match=r"no module matched.*dense, key, query, value"):
        add_lora(load_base(ENCODER), LoraOptions(target_modules=["c_attn"]))


def test_an_adapter_of_another_model_is_refused():
    weights, config = extract(noisy_lora())
    strange = {f"base_model.model.other.{key}": value for key, value in weights.items()}
    with pytest.raises(ConfigurationError, match="does not fit base model"):
        attach(load_base(ENCODER), Adapter(strange, config, {}), ENCODER)


def test_normalise_centres_on_the_given_rows_only():
    pooled = np.array([[1.0, 0.0], [3.0, 0.0], [2.0, 5.0]], dtype=np.float32)
    got = normalise(pooled, np.array([True, True, False]))
    np.testing.assert_allclose(got, [[-1, 0], [1, 0], [0, 1]])


def test_item_vectors_join_the_embedding():
    E = np.array([[1.0, 0.0], [0.0, 1.0]], dtype=np.float32)
    assert join_vectors(E, pd.DataFrame({"item_id": ["a", "b"]})) is E
    joined = join_vectors(E, pd.DataFrame({"vector_image": [[2.0], [4.0]]}))
    np.testing.assert_allclose(joined, np.array([[1, 0, -1], [0, 1, 1]]) / np.sqrt(2))


@pytest.fixture(scope="module")
def lesson(planted):
    """A small catalogue whose teacher lives in the clusters of the texts."""
    rng = np.random.default_rng(0)
    items = planted.items.head(80)
    cluster = planted.item_cluster.to_numpy()[:80]
    taste = rng.integers(0, 4, 60)
    X = (rng.random((60, 80)) < np.where(taste[:, None] == cluster, 0.5, 0.02)).astype(np.float32)
    U = np.eye(4, dtype=np.float32)[taste] + 0.05 * rng.normal(size=(60, 4)).astype(np.float32)
    V = np.eye(4, dtype=np.float32)[cluster]
    stop = np.arange(80) % 5 == 0
    options = LMOptions(encoder=ENCODER, epochs=2, batch_size=16)
    return (
        tokenise((items["title"] + " " + items["genre"]).tolist(), ENCODER),
        U,
        V,
        sparse.csr_matrix(X),
        stop,
        options,
    )


def test_tuning_learns_and_is_deterministic(lesson):
    tokens, U, V, X, stop, options = lesson
    adapter, history = tune_lora(tokens, U, V, X, ~stop, stop, options, seed=0)
    assert [row["epoch"] for row in history] == [0, 1, 2]
    assert history[2]["loss"] < history[1]["loss"]
    again, history_again = tune_lora(tokens, U, V, X, ~stop, stop, options, seed=0)
    assert history[1:] == history_again[1:]
    for key, value in adapter.weights.items():
        torch.testing.assert_close(value, again.weights[key], rtol=0, atol=0)


def test_interactions_outside_the_learnt_items_cannot_leak(lesson):
    """Plant a leak: rewrite the interactions of every item that is not learnt; training must not notice."""
    tokens, U, V, X, stop, options = lesson
    poisoned = X.tolil()
    poisoned[:, np.flatnonzero(stop)] = 1.0
    _, history = tune_lora(tokens, U, V, X, ~stop, stop, options.model_copy(update={"epochs": 1}), seed=0)
    _, poisoned_history = tune_lora(
        tokens, U, V, poisoned.tocsr(), ~stop, stop, options.model_copy(update={"epochs": 1}), seed=0
    )
    assert history[1]["loss"] == poisoned_history[1]["loss"]
    with pytest.raises(ValueError, match="items are both learnt and stopped on"):
        tune_lora(tokens, U, V, X, np.ones(80, bool), stop, options, seed=0)
