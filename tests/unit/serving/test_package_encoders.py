"""Which of the packaged encoders reads the words of requests."""

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from tailor.data.ids import IdMap
from tailor.errors import BadInputError
from tailor.lm.static_encoder import StaticEncoder
from tailor.models.popular import Popular
from tailor.serving.package import ENCODER_VARIABLE
from tailor.serving.recommender import Recommender


@pytest.fixture
def student():
    """A token table of three words."""
    tokenizer = Tokenizer(models.WordLevel({"space": 1, "opera": 2, "film": 0}, "[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return StaticEncoder(np.eye(3, 4, dtype=np.float16), tokenizer.to_str())


def test_the_variable_chooses(student, tables, tmp_path, monkeypatch):
    items, users = IdMap(tables.items["item_id"]), IdMap(tables.users["user_id"])
    popular = Popular().fit(tables.train_set)
    for name, packaged in (("with", student), ("without", None)):
        ties = np.arange(len(tables.items))
        served = Recommender(popular, users, items, tables.train_set.queries(), ties, student=packaged)
        served.save(tmp_path / name)
    monkeypatch.setenv(ENCODER_VARIABLE, "static")
    recommender = Recommender.load(tmp_path / "with")
    assert recommender.encoder_of().encode(["space"]).tolist() == [[0.0, 1.0, 0.0, 0.0]]
    with pytest.raises(BadInputError, match="packaged without a token table"):
        Recommender.load(tmp_path / "without")
    monkeypatch.setenv(ENCODER_VARIABLE, "statc")
    with pytest.raises(BadInputError, match="TAILOR_ENCODER=statc: known are tuned and static"):
        Recommender.load(tmp_path / "with")
