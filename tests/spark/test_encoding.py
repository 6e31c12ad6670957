"""Texts that tasks encode are embedded as on one machine."""

import numpy as np
import pandas as pd
import pytest

from tailor.lm.config import EncoderOptions
from tailor.lm.encoder import encode_base, tokenise
from tailor.spark import encoding

pytest.importorskip("pyspark", reason="make test-spark installs it")


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_tasks_encode_as_one_machine_does_in_the_order_of_the_texts(spark, pooling):
    rng = np.random.default_rng(0)
    words = [
        "slow",
        "funny",
        "dark",
        "old",
        "space",
        "opera",
        "war",
        "film",
        "romance",
        "story",
        "of",
        "a",
        "lost",
        "child",
    ]
    texts = pd.Series([" ".join(rng.choice(words, rng.integers(1, 30))) for _ in range(300)])
    options = EncoderOptions(pooling=pooling, max_length=16)
    expected = encode_base(tokenise(texts.tolist(), options), options, "encode")
    made = encoding.encode(spark, texts, options, 3)
    assert made.shape == expected.shape
    assert made.dtype == np.float32
    cosine = (made * expected).sum(axis=1) / np.linalg.norm(made, axis=1) / np.linalg.norm(expected, axis=1)
    assert cosine.min() > 0.999
    np.testing.assert_allclose(np.linalg.norm(made, axis=1), np.linalg.norm(expected, axis=1), rtol=0.02)


def test_no_texts_are_no_rows(spark):
    assert encoding.encode(spark, pd.Series([], dtype=str), EncoderOptions(), 3).shape == (0, 0)
