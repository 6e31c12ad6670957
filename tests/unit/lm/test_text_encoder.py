"""The encoder that is served, on disk in bf16 and in int8."""

import contextlib
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tailor.errors import BadInputError
from tailor.lm import encoder as encoder_module
from tailor.lm.text_encoder import TextEncoder
from tests.unit.lm.conftest import TEXTS
from tests.unit.lm.test_low_rank import tuned as tuned_adapter


def test_int8_weights_are_half_the_size_and_say_nearly_the_same(teacher, tmp_path):
    sizes = {}
    for weights in ("bf16", "int8"):
        teacher.save(tmp_path / weights, weights)
        sizes[weights] = sum(f.stat().st_size for f in (tmp_path / weights).glob("*.safetensors"))
        loaded = TextEncoder.load(tmp_path / weights)
        assert (loaded.encode(TEXTS) * teacher.encode(TEXTS)).sum(axis=1).min() > 0.99
    assert sizes["int8"] < 0.55 * sizes["bf16"]
    whole = save_file_without(tmp_path / "int8" / "int8.safetensors", "embeddings.word_embeddings.weight")
    with pytest.raises(BadInputError, match=r"lacks embeddings\.word_embeddings\.weight"):
        TextEncoder.load(whole)


def save_file_without(path, name):
    arrays = load_file(path)
    save_file({key: value for key, value in arrays.items() if key != name}, path)
    return path.parent


@pytest.fixture
def fp32(monkeypatch):
    """Sums are compared up to fp32's rounding; bf16, where the hardware has it, is another matter."""
    monkeypatch.setattr(encoder_module, "autocast", contextlib.nullcontext)


@pytest.fixture(scope="module")
def tuned(encoder, teacher):
    adapter = tuned_adapter(encoder, "plain")
    return TextEncoder.merge(adapter, teacher.whitening, encoder)


def size(folder):
    return sum(file.stat().st_size for file in folder.rglob("*.safetensors"))


def test_a_tuned_encoder_is_packaged_as_base_and_adapter(tuned, encoder, tmp_path, fp32):
    untuned = TextEncoder.merge(None, tuned.whitening, encoder)
    tuned.save(tmp_path / "tuned", "fp32")
    untuned.save(tmp_path / "frozen", "fp32")
    loaded = TextEncoder.load(tmp_path / "tuned")
    assert np.abs(loaded.encode(TEXTS) - tuned.encode(TEXTS)).max() <= 1e-5
    assert np.abs(loaded.encode(TEXTS) - untuned.encode(TEXTS)).max() > 1e-3
    base, frozen = (load_file(tmp_path / name / "model.safetensors") for name in ("tuned", "frozen"))
    assert base.keys() == frozen.keys()
    assert max(np.abs(base[name] - frozen[name]).max() for name in base) <= 1e-6
    assert size(tmp_path / "tuned") < 1.05 * size(tmp_path / "frozen")


@pytest.mark.parametrize("weights", ["bf16", "int8"])
def test_rounded_weights_are_those_of_the_base_and_stay_so(tuned, tmp_path, weights, fp32):
    tuned.save(tmp_path / "first", weights)
    first = TextEncoder.load(tmp_path / "first")
    assert (first.encode(TEXTS) * tuned.encode(TEXTS)).sum(axis=1).min() > 0.99
    first.save(tmp_path / "second", weights)
    again = TextEncoder.load(tmp_path / "second")
    assert np.abs(again.encode(TEXTS) - first.encode(TEXTS)).max() <= 1e-5


def test_bf16_is_as_near_as_merged_weights_in_bf16_were(tuned, tmp_path, fp32):
    replace(tuned, adapter=None).save(tmp_path / "merged")  # as up to format 2
    tuned.save(tmp_path / "apart")
    assert not (tmp_path / "merged/adapter").exists()
    exact = tuned.encode(TEXTS)
    merged, apart = (TextEncoder.load(tmp_path / name) for name in ("merged", "apart"))
    assert merged.adapter is None
    distances = [np.abs(one.encode(TEXTS) - exact).max() for one in (merged, apart)]
    assert distances[1] < 2 * distances[0] < 0.02


def test_an_encoder_that_is_no_sum_is_packaged_merged(teacher, encoder, tmp_path, fp32):
    merged = TextEncoder.merge(tuned_adapter(encoder, "dora"), teacher.whitening, encoder)
    merged.save(tmp_path / "merged", "fp32")
    assert not (tmp_path / "merged/adapter").exists()
    assert np.abs(TextEncoder.load(tmp_path / "merged").encode(TEXTS) - merged.encode(TEXTS)).max() <= 1e-5


def test_the_base_is_the_model_without_the_adapter_and_not_centred(tuned, fp32):
    """Its rows are those of the frozen model with a centre of zero; the tuned encoder stays as it is."""
    before = tuned.encode(TEXTS)
    base = tuned.base()
    frozen = TextEncoder.merge(None, base.whitening, tuned.options)
    assert not base.whitening.centre.any()
    np.testing.assert_allclose(base.encode(TEXTS), frozen.encode(TEXTS), atol=1e-5)
    np.testing.assert_array_equal(tuned.encode(TEXTS), before)
    assert frozen.base().model is frozen.model


def test_the_base_is_made_once_and_holds_only_what_the_adapter_changes_a_second_time(tuned):
    base = tuned.base()
    assert tuned.base() is base
    own, of_base = (dict(encoder.model.named_parameters()) for encoder in (tuned, base))
    changed = {name for name, _ in tuned.adapter.deltas()}
    assert own.keys() == of_base.keys()
    assert {name for name in own if own[name] is not of_base[name]} == changed
    assert own["embeddings.word_embeddings.weight"] is of_base["embeddings.word_embeddings.weight"]
