"""The encoder, its embeddings, and the invariants of every PEFT method."""

import contextlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from peft import PeftModel
from transformers import BertConfig, BertModel, LlamaConfig, LlamaModel

from tailor.datasets import AdapterDataset, EmbeddingsDataset, EncoderDataset, UserTowerDataset
from tailor.errors import BadInputError, ConfigurationError
from tailor.lm import encoder
from tailor.lm.embeddings import Embeddings, fit_user_tower, join_vectors
from tailor.lm.encoder import Tokens, encode, load_base, model_path, pool, tokenise
from tailor.lm.peft import Adapter, attach, export, extract, prepare, weights_hash
from tailor.lm.whitening import Whitening
from tailor.options import EncoderOptions, LMOptions, PeftOptions

ENCODER = EncoderOptions(max_length=16, batch_size=4)
TEXTS = ["a slow space opera", "romance in paris", "a", "ghost ghost ghost in the haunted house on the hill", "cowboys"]
METHODS = ["lora", "dora", "adalora", "ia3", "prompt", "prefix", "full"]
STEPS = 30


@pytest.fixture(scope="module", autouse=True)
def fp32():
    """Invariants are exact up to fp32's rounding; bf16, where the hardware has it, is measured by a test of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoder, "autocast", contextlib.nullcontext)
        yield


@pytest.fixture(scope="module")
def tokens():
    return tokenise(TEXTS, ENCODER)


@pytest.fixture(scope="module")
def frozen(tokens):
    return encode(load_base(ENCODER), tokens, 4)


def noisy(method):
    """A model whose tuned weights have moved."""
    torch.manual_seed(0)
    model = prepare(load_base(ENCODER), PeftOptions(method=method, dropout=0.0), STEPS)
    with torch.no_grad():
        for p in model.parameters():
            if p.requires_grad and method != "full":
                p.add_(0.02 * torch.randn_like(p))
            elif p.requires_grad:
                p.add_(0.1 * p.abs().mean() * torch.randn_like(p))
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


@pytest.mark.parametrize("method", ["lora", "dora", "ia3", "full", "frozen"])
def test_an_untrained_adapter_is_the_identity(method, tokens, frozen):
    model = prepare(load_base(ENCODER), PeftOptions(method=method), STEPS).eval()
    np.testing.assert_allclose(encode(model, tokens, 4), frozen, atol=1e-5)


@pytest.mark.parametrize("method", [m for m in METHODS if m != "full"])
def test_only_the_adapter_gets_gradients_and_the_base_stays(method, tokens):
    model = noisy(method).train()
    base = {name: value.clone() for name, value in load_base(ENCODER).state_dict().items()}
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    pool(model, tokens.batch(np.arange(5))).square().sum().backward()
    optimizer.step()
    assert any(p.grad is not None and p.grad.abs().max() > 0 for p in model.parameters())
    assert all(p.requires_grad for p in model.parameters() if p.grad is not None)
    plain = {name.replace(".base_layer", ""): value for name, value in model.get_base_model().state_dict().items()}
    for name, value in base.items():
        torch.testing.assert_close(plain[name], value, rtol=0, atol=0)
    share = sum(p.numel() for p in model.parameters() if p.requires_grad) / sum(p.numel() for p in model.parameters())
    assert share < 0.05


@pytest.mark.parametrize("method", METHODS)
def test_merged_equals_unmerged_and_survives_the_disk(method, tokens, frozen, tmp_path):
    model = noisy(method).eval()
    unmerged = encode(model, tokens, 4)
    assert np.abs(unmerged - frozen).max() > 1e-3
    weights, config = extract(model)
    dataset = AdapterDataset(filepath=str(tmp_path / "adapter"))
    dataset.save(Adapter(weights, config, {"weight": torch.zeros(2, 3)}, {"seed": 0}))
    merged = attach(load_base(ENCODER), dataset.load(), ENCODER)
    np.testing.assert_allclose(encode(merged, tokens, 4), unmerged, atol=2e-5)
    if method != "full":
        by_peft = PeftModel.from_pretrained(load_base(ENCODER), str(tmp_path / "adapter")).eval()
        np.testing.assert_allclose(encode(by_peft, tokens, 4), unmerged, atol=2e-5)


def test_a_frozen_encoder_has_no_weights_to_keep(tokens, frozen):
    weights, config = extract(prepare(load_base(ENCODER), PeftOptions(method="frozen"), STEPS))
    assert weights == {}
    np.testing.assert_allclose(
        encode(attach(load_base(ENCODER), Adapter(weights, config, {}), ENCODER), tokens, 4), frozen
    )


def test_no_module_matched():
    with pytest.raises(ConfigurationError, match=r"no module matched.*dense, key, query, value"):
        prepare(load_base(ENCODER), PeftOptions(target_modules=["c_attn"]), STEPS)


@pytest.mark.parametrize("method", ["lora", "full"])
def test_an_adapter_of_another_model_is_refused(method):
    weights, config = extract(noisy(method))
    strange = {f"base_model.model.other.{key}": value for key, value in weights.items()}
    with pytest.raises(ConfigurationError, match="does not fit base model"):
        attach(load_base(ENCODER), Adapter(strange, config, {}), ENCODER)


def test_the_exported_encoder_is_a_base_model_like_any_other(tokens, tmp_path):
    model = noisy("lora").eval()
    adapter = Adapter(*extract(model), {})
    EncoderDataset(filepath=str(tmp_path / "encoder")).save((adapter, ENCODER))
    own = ENCODER.model_copy(update={"base_model": str(tmp_path / "encoder")})
    np.testing.assert_allclose(encode(load_base(own), tokenise(TEXTS, own), 4), encode(model, tokens, 4), atol=2e-5)
    assert weights_hash(load_base(own)) != weights_hash(load_base(ENCODER))
    with pytest.raises(ConfigurationError, match="PROMPT_TUNING cannot be merged"):
        export(Adapter({}, {"peft_type": "PROMPT_TUNING"}, {}), ENCODER, Path("nowhere"))


def by_hand(states, lengths, pooling):
    if pooling == "mean":
        return np.stack([s[:n].mean(axis=0) for s, n in zip(states, lengths, strict=True)])
    return np.stack([s[0 if pooling == "cls" else n - 1] for s, n in zip(states, lengths, strict=True)])


@pytest.mark.parametrize("pooling", ["mean", "cls", "last"])
@pytest.mark.parametrize("kind", ["encoder", "decoder"])
def test_pooling_of_encoders_and_decoders(pooling, kind):
    torch.manual_seed(0)
    size = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    model = (
        BertModel(BertConfig(vocab_size=50, **size), add_pooling_layer=False)
        if kind == "encoder"
        else LlamaModel(LlamaConfig(vocab_size=50, **size))
    ).eval()
    tokens = Tokens([[5, 6, 7], [8], [9, 10, 11, 12]], pad=0, n_truncated=0)
    alone = [model(input_ids=torch.tensor([ids])).last_hidden_state[0].detach().numpy() for ids in tokens.ids]
    expected = by_hand(alone, tokens.lengths(), pooling)
    np.testing.assert_allclose(encode(model, tokens, 3, pooling=pooling), expected, atol=1e-5)


def test_bf16_points_where_fp32_does(tokens, frozen, monkeypatch):
    monkeypatch.setattr(encoder, "autocast", lambda: torch.autocast("cpu", dtype=torch.bfloat16))
    half = encode(load_base(ENCODER), tokens, 4)
    assert half.dtype == np.float32
    assert np.abs(half - frozen).max() > 0
    cosine = (half * frozen).sum(axis=1) / np.linalg.norm(half, axis=1) / np.linalg.norm(frozen, axis=1)
    assert cosine.min() > 0.999


def test_a_text_without_tokens_has_an_embedding():
    tokens = Tokens([[], [101, 102]], pad=0, n_truncated=0)
    assert np.isfinite(encode(load_base(ENCODER), tokens, 2)).all()


def test_centring_is_fitted_on_the_given_rows_only():
    pooled = np.array([[1.0, 0.0], [3.0, 0.0], [2.0, 5.0]], dtype=np.float32)
    got = Whitening.fit(pooled, np.array([True, True, False])).apply(pooled)
    np.testing.assert_allclose(got, [[-1, 0], [1, 0], [0, 1]])


def test_zca_decorrelates_the_rows_it_was_fitted_on():
    rng = np.random.default_rng(0)
    pooled = (rng.normal(size=(500, 4)) @ rng.normal(size=(4, 4)) + 3).astype(np.float32)
    fitted_on = np.arange(500) < 400
    whitening = Whitening.fit(pooled, fitted_on, "zca", shrinkage=1e-6)
    white = (pooled - whitening.centre) @ whitening.projection
    np.testing.assert_allclose(np.cov(white[fitted_on], rowvar=False, bias=True), np.eye(4), atol=1e-3)
    np.testing.assert_allclose(whitening.projection, whitening.projection.T, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(whitening.apply(pooled), axis=1), 1, atol=1e-5)
    pooled[450] += 100
    np.testing.assert_array_equal(Whitening.fit(pooled, fitted_on, "zca", 1e-6).projection, whitening.projection)


def test_item_vectors_join_the_embedding():
    E = np.array([[1.0, 0.0], [0.0, 1.0]], dtype=np.float32)
    assert join_vectors(E, pd.DataFrame({"item_id": ["a", "b"]})) is E
    joined = join_vectors(E, pd.DataFrame({"vector_image": [[2.0], [4.0]]}))
    np.testing.assert_allclose(joined, np.array([[1, 0, -1], [0, 1, 1]]) / np.sqrt(2))


@pytest.mark.parametrize("projection", [None, np.eye(2, dtype=np.float32)])
def test_embeddings_keep_ids_and_provenance_on_disk(projection, tmp_path):
    whitening = Whitening(np.array([0.5, 0.5], np.float32), projection)
    given = Embeddings(np.array(["a", "ü"], object), np.eye(2, dtype=np.float32), whitening, {"base_hash": "1f"})
    dataset = EmbeddingsDataset(filepath=str(tmp_path / "e.safetensors"))
    dataset.save(given)
    found = dataset.load()
    assert found.ids.tolist() == ["a", "ü"]
    assert found.provenance == {"base_hash": "1f"}
    np.testing.assert_array_equal(found.vectors, given.vectors)
    np.testing.assert_array_equal(found.whitening.centre, whitening.centre)
    assert (found.whitening.projection is None) == (projection is None)
    with pytest.raises(BadInputError, match="1 ids, but 2 embeddings"):
        Embeddings(np.array(["a"], object), np.eye(2, dtype=np.float32), whitening)


def test_the_user_tower_places_a_stranger_by_the_profile(tmp_path):
    """Users whose profile speaks of space have one taste, those who speak of love the other."""
    rng = np.random.default_rng(0)
    words = [("spaceship", "galaxy", "robot", "alien"), ("wedding", "romance", "kiss", "love")]
    taste = rng.integers(0, 2, 60)
    profiles = [" ".join(rng.choice(words[t], 2, replace=False)) for t in taste]
    U = np.eye(2, dtype=np.float32)[taste]
    trainable = np.arange(60) < 40
    tokens = tokenise(profiles, ENCODER)
    ids = np.array([str(u) for u in range(60)], object)
    texts = {"stranger": tokens, "known": tokens}
    tower = fit_user_tower(load_base(ENCODER), texts, ids, U, trainable, LMOptions(encoder=ENCODER), {"seed": 0})
    dataset = UserTowerDataset(filepath=str(tmp_path / "tower.safetensors"))
    dataset.save(tower)
    found = dataset.load()
    predicted = found.factors(found.profiles.vectors)
    np.testing.assert_array_equal(predicted, tower.factors(tower.profiles.vectors))
    assert (predicted.argmax(axis=1) == taste)[~trainable].mean() > 0.9
