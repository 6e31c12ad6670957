"""A decoder as base model: its last token, whatever the padding; LoRA on its attention; tuned, packaged, read again."""

import contextlib

import numpy as np
import pytest
import torch

from tailor.lm import encoder as encoder_module
from tailor.lm.batching import tokenise_views
from tailor.lm.config import EncoderOptions, LMOptions, PeftOptions
from tailor.lm.distill import distil
from tailor.lm.encoder import encode, load_base, pool, tokenise
from tailor.lm.peft import attach, export, extract, peft_config, prepare
from tailor.lm.static_encoder import StaticEncoder
from tailor.lm.text_encoder import TextEncoder
from tailor.lm.trainer import tune
from tailor.lm.whitening import Whitening
from tests.unit.lm.decoders import TEXTS, save_decoder
from tests.unit.lm.test_low_rank import tuned as tuned_adapter

ATTENTION = {"q_proj", "k_proj", "v_proj", "o_proj"}


@pytest.fixture(scope="module", autouse=True)
def fp32():
    """Invariants are exact up to fp32's rounding."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoder_module, "autocast", contextlib.nullcontext)
        yield


@pytest.fixture(scope="module")
def decoder(tmp_path_factory):
    folder = save_decoder(tmp_path_factory.mktemp("decoder"))
    return EncoderOptions(base_model=str(folder), pooling="last", max_length=16, batch_size=4)


def alone(model, tokens):
    """The last state that the model gives for each text by itself."""
    with torch.no_grad():
        return np.stack([model(input_ids=torch.tensor([ids])).last_hidden_state[0, -1].numpy() for ids in tokens.ids])


@pytest.mark.parametrize("batch_size", [1, 2, 6])
def test_a_text_is_the_state_of_its_last_token_whatever_the_batch(decoder, batch_size):
    model, tokens = load_base(decoder), tokenise(TEXTS, decoder)
    expected = alone(model, tokens)
    np.testing.assert_allclose(encode(model, tokens, batch_size, pooling="last"), expected, atol=1e-5)
    assert np.abs(expected[0] - expected[1]).max() > 0.1


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_on_either_side_is_left_out(decoder, side):
    model, tokens = load_base(decoder), tokenise(TEXTS, decoder)
    longest = max(map(len, tokens.ids))
    batch = {"input_ids": torch.full((len(TEXTS), longest), 7), "attention_mask": torch.zeros(len(TEXTS), longest)}
    for row, ids in enumerate(tokens.ids):
        columns = slice(longest - len(ids), None) if side == "left" else slice(len(ids))
        batch["input_ids"][row, columns] = torch.tensor(ids)
        batch["attention_mask"][row, columns] = 1
    batch["attention_mask"] = batch["attention_mask"].long()
    with torch.no_grad():
        pooled = pool(model, batch, "last").numpy()
    np.testing.assert_allclose(pooled, alone(model, tokens), atol=1e-5)


def test_what_follows_a_token_does_not_reach_it(decoder):
    """The mask is causal: the state of a prefix is the same in any text that begins with it."""
    model, tokens = load_base(decoder), tokenise(["ghost", "ghost in the house"], decoder)
    n = len(tokens.ids[0]) - 1  # without the end of the text
    assert tokens.ids[0][:n] == tokens.ids[1][:n]
    with torch.no_grad():
        short, long = (model(input_ids=torch.tensor([ids])).last_hidden_state[0, :n] for ids in tokens.ids)
    torch.testing.assert_close(short, long, rtol=0, atol=1e-5)


def test_without_keys_lora_tunes_the_attention(decoder):
    model = prepare(load_base(decoder), PeftOptions(), 4)
    weights, config = extract(model)
    assert set(config["target_modules"]) == ATTENTION
    assert {name.split(".")[-3] for name in weights} == ATTENTION
    # r (in + out) for each of two layers: q and o are 32 x 32, k and v have half the heads.
    assert sum(value.numel() for value in weights.values()) == 2 * 8 * (2 * (32 + 32) + 2 * (32 + 16))


@pytest.mark.parametrize("kind", ["LORA", "ADALORA", "IA3"])
def test_the_names_of_the_layers_say_what_is_tuned(kind):
    assert set(peft_config(PeftOptions(peft_type=kind), 30, {*ATTENTION, "up_proj"}).target_modules) == ATTENTION
    assert "query" in peft_config(PeftOptions(peft_type=kind), 30, {"query", "dense"}).target_modules
    chosen = peft_config(PeftOptions(peft_type=kind, target_modules=["up_proj"]), 30, {*ATTENTION, "up_proj"})
    assert chosen.target_modules == {"up_proj"}


def test_texts_are_cut_and_counted_with_their_end(decoder):
    options = decoder.model_copy(update={"max_length": 4})
    tokens = tokenise(TEXTS, options)
    end = tokenise([""], options).ids[0]
    assert len(end) == 1
    assert all(len(ids) <= 4 and ids[-1:] == end for ids in tokens.ids)
    assert tokens.n_truncated == sum(len(ids) > 4 for ids in tokenise(TEXTS, decoder).ids)
    whole, _ = tokenise_views([["a", "romance"]], LMOptions(encoder=options), 0)
    assert whole.ids[0][-1:] == end


def test_tuning_learns_and_its_adapter_is_packaged_beside_the_base(decoder, data, tmp_path):
    decoder = decoder.model_copy(update={"max_length": 64})
    options = LMOptions(encoder=decoder, epochs=6, batch_size=16, learning_rate=0.003, patience=6)
    adapter, history = tune(data, options, 0)
    again, _ = tune(data, options, 0)
    assert all(torch.equal(adapter.weights[name], value) for name, value in again.weights.items())
    losses = [row["loss"] for row in history[1:]]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.85 * losses[0]
    assert adapter.provenance["epoch"] > 0
    pooled = encode(attach(load_base(decoder), adapter, decoder), tokenise(TEXTS, decoder), 4, pooling="last")
    whitening = Whitening.fit(pooled, np.ones(len(TEXTS), bool), "none", 0.1)
    tuned = TextEncoder.merge(adapter, whitening, decoder)
    np.testing.assert_allclose(tuned.encode(TEXTS), whitening.apply(pooled), atol=1e-4)
    tuned.save(tmp_path / "encoder", "fp32")
    assert (tmp_path / "encoder/adapter").is_dir()
    loaded = TextEncoder.load(tmp_path / "encoder")
    np.testing.assert_allclose(loaded.encode(TEXTS), tuned.encode(TEXTS), atol=1e-5)
    frozen = TextEncoder.merge(None, loaded.base().whitening, decoder)
    np.testing.assert_allclose(loaded.base().encode(TEXTS), frozen.encode(TEXTS), atol=1e-4)


@pytest.fixture(scope="module")
def adapter(decoder):
    return tuned_adapter(decoder, "plain")


@pytest.fixture(scope="module")
def tuned(decoder, adapter):
    return TextEncoder.merge(adapter, Whitening(np.zeros(32, np.float32)), decoder)


@pytest.mark.parametrize(("weights", "cosine"), [("bf16", 0.99), ("int8", 0.99)])
def test_rounded_weights_say_nearly_the_same(tuned, tmp_path, weights, cosine):
    tuned.save(tmp_path / "encoder", weights)
    loaded = TextEncoder.load(tmp_path / "encoder")
    assert (loaded.encode(TEXTS) * tuned.encode(TEXTS)).sum(axis=1).min() > cosine


def test_an_exported_decoder_is_a_base_model(decoder, adapter, tuned, tmp_path):
    export(adapter, decoder, tmp_path / "export")
    exported = decoder.model_copy(update={"base_model": str(tmp_path / "export")})
    again = TextEncoder.merge(None, tuned.whitening, exported)
    np.testing.assert_allclose(again.encode(TEXTS), tuned.encode(TEXTS), atol=1e-5)


def test_long_texts_are_read_in_pieces_that_end_each(tuned):
    text = "ghost house hill " * 12
    ids = tuned.tokenizer(text, add_special_tokens=False)["input_ids"]
    end = tuned.tokenizer("")["input_ids"]
    size = tuned.options.max_length - 1
    pieces = [[*ids[start : start + size], *end] for start in range(0, len(ids), size)]
    rows = np.stack([alone(tuned.model, type("T", (), {"ids": [piece]}))[0] for piece in pieces])
    mean = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).mean(axis=0)
    np.testing.assert_allclose(tuned.encode_long([text], 99)[0], mean / np.linalg.norm(mean), atol=1e-4)


def test_a_token_table_is_distilled_that_is_read_without_torch(tuned, tmp_path):
    texts = [text for text in TEXTS if text]
    student = distil(tuned, texts, 300, 0)
    assert (student.encode(texts) * tuned.encode(texts)).sum(axis=1).min() > 0.9
    student.save(tmp_path / "student")
    np.testing.assert_array_equal(StaticEncoder.load(tmp_path / "student").encode(texts), student.encode(texts))
