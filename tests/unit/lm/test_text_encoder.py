"""The encoder that is served, on disk in bf16 and in int8."""

import pytest
from safetensors.numpy import load_file, save_file

from tailor.errors import BadInputError
from tailor.lm.text_encoder import TextEncoder
from tests.unit.lm.conftest import TEXTS


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
