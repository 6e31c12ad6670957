"""A small catalogue that a language model can be tuned on, and an encoder with the token table distilled from it."""

import numpy as np
import pytest
from scipy import sparse

from tailor.data.interactions import category_matrix
from tailor.lm.config import EncoderOptions
from tailor.lm.distill import distil
from tailor.lm.encoder import load_base
from tailor.lm.text_encoder import TextEncoder
from tailor.lm.training_data import TrainingData
from tailor.lm.whitening import Whitening

TEXTS = [
    f"{tone} {kind}" for tone in ("slow", "funny", "dark", "old") for kind in ("space opera", "war film", "romance")
]


@pytest.fixture(scope="package")
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


@pytest.fixture(scope="package")
def teacher():
    m = load_base(EncoderOptions()).config.hidden_size
    return TextEncoder.merge(None, Whitening(np.zeros(m, np.float32)), EncoderOptions())


@pytest.fixture(scope="package")
def student(teacher):
    return distil(teacher, TEXTS, 500, 0)
