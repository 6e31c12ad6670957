"""The encoder: batches, truncation, pooling, precision."""

import contextlib

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel, LlamaConfig, LlamaModel

from tailor.errors import ConfigurationError
from tailor.lm import encoder
from tailor.lm.base_model import model_path
from tailor.lm.config import EncoderOptions
from tailor.lm.encoder import Tokens, encode, load_base, slowness, tokenise

ENCODER = EncoderOptions(max_length=16, batch_size=4)

TEXTS = ["a slow space opera", "romance in paris", "a", "ghost ghost ghost in the haunted house on the hill", "cowboys"]


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


@pytest.mark.parametrize(
    ("gpu", "bf16", "capability", "factor"),
    [
        (True, False, "AVX2", 1.0),
        (False, True, "AVX512", 1.0),
        (False, False, "AVX512", 2.0),
        (False, False, "AVX2", 3.5),
    ],
)
def test_a_processor_without_bf16_units_takes_longer(gpu, bf16, capability, factor, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: bf16)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    assert slowness() == factor
