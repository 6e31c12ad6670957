"""What a GPU computes is what the CPU computes: `make test-cuda`, on a machine that has one.

Where rounding is the only difference, results agree within it; with dropout and bf16 on, as configured, a second fit
gives the same weights, and what was planted is learned.
"""

import contextlib
from unittest.mock import patch

import numpy as np
import pytest
import torch
from scipy import sparse
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from tailor.lm import encoder as encoder_module
from tailor.lm import trainer
from tailor.lm.config import EncoderOptions, KernelLossOptions, LMOptions, ObjectiveOptions, PeftOptions
from tailor.lm.encoder import encode, load_base, tokenise
from tailor.lm.training_data import TrainingData
from tailor.models import checkpoints, ials_torch, transformer_torch
from tailor.models.ials import IALSConfig
from tailor.models.transformer import SASRec, SASRecConfig, Transformer, TransformerConfig
from tailor.models.transformer_torch import Training
from tailor.testing.planted import planted_blocks
from tests.unit.lm.quiet import without_dropout
from tests.unit.models.histories import ordered, ordered_query, ordered_train_set, random_history

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU that CUDA knows")
WORDS = ["slow", "funny", "dark", "old", "space", "opera", "war", "film", "romance", "story"]


@contextlib.contextmanager
def on_cpu():
    """Hide the GPU."""
    with patch.object(torch.cuda, "is_available", lambda: False):
        yield


@pytest.fixture(autouse=True)
def forgotten():
    """No test takes over what another has fitted."""
    transformer_torch.forget()


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    """A BERT of two narrow layers with random weights, which reads ten words."""
    folder = tmp_path_factory.mktemp("encoder")
    vocabulary = {word: number for number, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, "[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    ends = [("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])]
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    special = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", "mask")}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(folder)
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    BertModel(BertConfig(vocab_size=len(vocabulary), **shape)).save_pretrained(folder)
    return EncoderOptions(base_model=str(folder), max_length=16, batch_size=8)


@pytest.fixture(scope="module")
def data():
    """Four clusters of items that their texts and 60 users tell apart; every fifth item chooses the epoch."""
    rng = np.random.default_rng(0)
    cluster, taste, stop = np.arange(80) % 4, rng.integers(0, 4, 60), np.arange(80) % 5 == 0
    taken = (rng.random((60, 80)) < np.where(taste[:, None] == cluster, 0.5, 0.02)).astype(np.float32)
    return TrainingData(
        pieces=[[f"{WORDS[c]} {WORDS[4 + int(rng.integers(6))]} {WORDS[4 + int(rng.integers(6))]}"] for c in cluster],
        user_factors=np.eye(4, dtype=np.float32)[taste],
        item_factors=np.eye(4, dtype=np.float32)[cluster],
        train=sparse.csr_matrix(taken),
        trainable=~stop,
        stop_on=stop,
        categories=sparse.csr_matrix((80, 0), dtype=np.float32),
    )


def test_ials_finds_the_same_factors_in_double_precision():
    interactions, rng = random_history(60, 40), np.random.default_rng(1)
    features = np.hstack([rng.normal(size=(40, 3)), np.ones((40, 1))])
    options = IALSConfig(factors=8, alpha=0.2, regularization=0.05, lambda_item_feature=2.0, iterations=20)
    of_gpu = ials_torch.fit(interactions, features, options, seed=0)
    with on_cpu():
        of_cpu = ials_torch.fit(interactions, features, options, seed=0)
    np.testing.assert_allclose(of_gpu.items, of_cpu.items, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(of_gpu.feature_weights, of_cpu.feature_weights, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("most", [1000, 1], ids=["whole softmax", "drawn softmax"])
def test_a_transformer_without_dropout_moves_as_on_the_cpu(most, monkeypatch):
    monkeypatch.setattr(transformer_torch, "autocast", contextlib.nullcontext)
    planted = planted_blocks()
    options = {"width": 16, "dropout": 0.0, "id_dropout": 0.0, "max_softmax_items": most, "negatives": 8}
    recipe = Transformer(TransformerConfig(**options), 3)

    def first_epoch():
        training = Training(recipe, planted.data, transformer_torch._sequences(planted.data), None, 1)
        training.run_epoch()
        return training.export()

    of_gpu = first_epoch()
    with on_cpu():
        of_cpu = first_epoch()
    np.testing.assert_allclose(of_gpu.items, of_cpu.items, atol=2e-3)
    query = planted.query(planted.known_users)
    np.testing.assert_allclose(of_gpu.score(query), of_cpu.score(query), atol=2e-2)


def test_a_transformer_as_configured_learns_an_order_and_does_so_again():
    starts = np.random.default_rng(0).integers(6, size=60)
    order = ordered(*(tuple((start + np.arange(5)) % 6) for start in starts), n_items=6)
    options = SASRecConfig(width=16, epochs=40, patience=40, learning_rate=0.01)
    first = SASRec(options).fit(ordered_train_set(order))
    assert first.score(ordered_query(ordered((0, 1, 2), (3, 4), n_items=6))).argmax(axis=1).tolist() == [3, 5]
    transformer_torch.forget()
    np.testing.assert_array_equal(SASRec(options).fit(ordered_train_set(order)).items, first.items)


def test_an_interrupted_transformer_goes_on_to_the_same_weights(tmp_path, monkeypatch):
    planted, options = planted_blocks().data, TransformerConfig(width=16, epochs=6)
    expected = Transformer(options).fit(planted)
    transformer_torch.forget()
    monkeypatch.setattr(checkpoints, "_folder", tmp_path)
    run_epoch = Training.run_epoch

    def third_is_interrupted(self):
        run_epoch(self)
        if self.done == 3:
            raise KeyboardInterrupt

    with patch.object(Training, "run_epoch", third_is_interrupted), pytest.raises(KeyboardInterrupt):
        Transformer(options).fit(planted)
    np.testing.assert_array_equal(Transformer(options).fit(planted).items, expected.items)


def test_texts_are_encoded_as_on_the_cpu(encoder, data):
    texts = [pieces[0] for pieces in data.pieces]
    tokens = tokenise(texts, encoder)
    of_gpu = encode(load_base(encoder), tokens, 8)
    with patch.object(encoder_module, "autocast", contextlib.nullcontext):
        exact = encode(load_base(encoder), tokens, 8)
        with on_cpu():
            of_cpu = encode(load_base(encoder), tokens, 8)
    np.testing.assert_allclose(exact, of_cpu, atol=1e-3)
    lengths = np.linalg.norm(of_gpu, axis=1) * np.linalg.norm(of_cpu, axis=1)
    assert ((of_gpu * of_cpu).sum(axis=1) / lengths).min() > 0.999


OBJECTIVES = {
    "kernel": ObjectiveOptions(kernel=KernelLossOptions(refresh=16)),
    "multitask": ObjectiveOptions(name="multitask"),
}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_tuning_without_dropout_has_the_losses_of_the_cpu(name, encoder, data):
    peft = PeftOptions(lora_dropout=0.0)
    options = LMOptions(encoder=encoder, epochs=2, batch_size=16, peft=peft, objective=OBJECTIVES[name])
    with (
        patch.object(trainer, "load_base", without_dropout),
        patch.object(encoder_module, "autocast", contextlib.nullcontext),
    ):
        _, of_gpu = trainer.tune(data, options, seed=0)
        with on_cpu():
            _, of_cpu = trainer.tune(data, options, seed=0)
    for row, other in zip(of_gpu, of_cpu, strict=True):
        assert row == pytest.approx(other, rel=5e-3, nan_ok=True)


def test_tuning_as_configured_is_repeated_within_rounding(encoder, data):
    options = LMOptions(encoder=encoder, epochs=2, batch_size=16)
    first, history = trainer.tune(data, options, seed=0)
    again, of_second = trainer.tune(data, options, seed=0)
    assert history[-1]["loss"] == pytest.approx(of_second[-1]["loss"], rel=1e-3)
    moved = max(float(value.abs().max()) for value in first.weights.values())
    for key, value in first.weights.items():
        assert value.device.type == "cpu"
        torch.testing.assert_close(again.weights[key], value, rtol=0, atol=1e-2 * moved)
