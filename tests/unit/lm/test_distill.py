"""The token table: distilled from an encoder, served without torch."""

import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tailor.errors import BadInputError
from tailor.lm.config import EncoderOptions
from tailor.lm.distill import distil, shares
from tailor.lm.encoder import load_base
from tailor.lm.static_encoder import StaticEncoder
from tailor.lm.text_encoder import TextEncoder
from tailor.lm.whitening import Whitening
from tailor.serving.recommender import ENCODER_VARIABLE, Recommender

TEXTS = [
    f"{tone} {kind}" for tone in ("slow", "funny", "dark", "old") for kind in ("space opera", "war film", "romance")
]


@pytest.fixture(scope="module")
def teacher():
    m = load_base(EncoderOptions()).config.hidden_size
    return TextEncoder.merge(None, Whitening(np.zeros(m, np.float32)), EncoderOptions())


@pytest.fixture(scope="module")
def student(teacher):
    return distil(teacher, TEXTS, 500, 0)


def test_it_says_of_its_texts_what_the_teacher_says(teacher, student):
    assert (student.encode(TEXTS) * teacher.encode(TEXTS)).sum(axis=1).min() > 0.97


def test_it_orders_words_it_was_not_fitted_on_as_the_teacher_does(student):
    asked, near, far = student.encode(["space war", "dark space opera", "funny romance"])
    assert asked @ near > asked @ far + 0.2


def test_rows_are_means_of_length_1(student):
    one, two = student.encode(["space", "opera"])
    table = student.table.astype(np.float32)
    ids = [row[0] for row in student.ids(["space", "opera"])]
    expected = table[ids].mean(axis=0)
    np.testing.assert_allclose(student.encode(["space opera"])[0], expected / np.linalg.norm(expected), rtol=1e-3)
    np.testing.assert_allclose(np.linalg.norm([one, two], axis=1), 1, rtol=1e-5)
    assert not student.encode(["", "😀"]).any()


def test_shares_by_hand(student):
    token_shares = shares(student.tokens, ["space space opera", ""], len(student.table))
    assert token_shares.shape == (2, len(student.table))
    assert sorted(token_shares[[0]].data.tolist()) == pytest.approx([1 / 3, 2 / 3])
    assert token_shares[[1]].nnz == 0


def test_saved_and_loaded(student, tmp_path):
    student.save(tmp_path / "student")
    loaded = StaticEncoder.load(tmp_path / "student")
    np.testing.assert_array_equal(loaded.encode(TEXTS), student.encode(TEXTS))


LIGHT = """
import sys
from pathlib import Path
from tailor.lm.static_encoder import StaticEncoder
print(StaticEncoder.load(Path(sys.argv[1])).encode(["space opera"]).shape)
assert not {"torch", "transformers"} & set(sys.modules)
"""


def test_it_needs_no_torch(student, tmp_path):
    student.save(tmp_path / "student")
    command = [sys.executable, "-c", LIGHT, str(tmp_path / "student")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"(1, {student.table.shape[1]})"


def test_the_variable_chooses(student, tables, tmp_path, monkeypatch):
    from tailor.models.baselines import NoOptions, Popular

    ids, train = tables.items["item_id"].to_numpy(dtype=object), tables.matrices["train"]
    popular = Popular(NoOptions()).fit(train, tables.warm)
    for name, packaged in (("with", student), ("without", None)):
        served = Recommender(popular, np.array(["u"], object), ids, train[:1], np.arange(len(ids)), student=packaged)
        served.save(tmp_path / name)
    monkeypatch.setenv(ENCODER_VARIABLE, "static")
    recommender = Recommender.load(tmp_path / "with")
    assert recommender.encoder_of().encode(["space"]).shape == (1, student.table.shape[1])
    with pytest.raises(BadInputError, match="packaged without a token table"):
        Recommender.load(tmp_path / "without")
    monkeypatch.setenv(ENCODER_VARIABLE, "statc")
    with pytest.raises(BadInputError, match="TAILOR_ENCODER=statc: known are tuned and static"):
        Recommender.load(tmp_path / "with")


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
