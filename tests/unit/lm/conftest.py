"""A small catalogue that a language model can be tuned on, and an encoder with the token table distilled from it."""

import numpy as np
import pytest
from scipy import sparse
from transformers import AutoModel, AutoTokenizer

from tailor.data.interactions import category_matrix
from tailor.lm.base_model import model_path
from tailor.lm.config import EncoderOptions, LMOptions
from tailor.lm.distill import distil
from tailor.lm.encoder import load_base
from tailor.lm.text_encoder import TextEncoder
from tailor.lm.training_data import TrainingData
from tailor.lm.whitening import Whitening

TEXTS = [
    f"{tone} {kind}" for tone in ("slow", "funny", "dark", "old") for kind in ("space opera", "war film", "romance")
]


@pytest.fixture(scope="package")
def encoder(tmp_path_factory):
    """The packaged encoder cut down to its first layer: what it learns is the same, in a sixth of the time."""
    whole, folder = EncoderOptions(), tmp_path_factory.mktemp("encoder")
    path = model_path(whole.base_model)
    base = AutoModel.from_pretrained(path, use_safetensors=True)
    base.encoder.layer = base.encoder.layer[:1]
    base.config.num_hidden_layers = 1
    base.save_pretrained(folder)
    AutoTokenizer.from_pretrained(path).save_pretrained(folder)
    return EncoderOptions(base_model=str(folder), max_length=16, batch_size=8)


@pytest.fixture(scope="package")
def options(encoder):
    """Options of a short training, of which a test changes some."""

    def changed(**changes):
        return LMOptions(**({"encoder": encoder, "epochs": 2, "batch_size": 16} | changes))

    return changed


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
