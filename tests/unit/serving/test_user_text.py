"""What users wrote, in requests: read by the base model, joined with what is stored, refused where it says nothing."""

from dataclasses import replace

import numpy as np
import pytest

from tailor import Request, Settings
from tailor.data.user_texts import NO_ITEM, UserTexts
from tailor.errors import BadInputError
from tailor.serving.about_model import describe
from tailor.serving.recommender import Recommender
from tests.unit.serving.conftest import hybrid, recommender_of, weights

#: What users of each cluster write; the reader below knows no other words.
HOBBIES = ("bees", "tulips", "clocks", "sails")


class Reader:
    """Tells the hobbies apart; a text of two is the mean of both."""

    def __init__(self) -> None:
        self.read: list[list[str]] = []

    def encode(self, texts: list[str]) -> np.ndarray:
        rows = np.array([[float(hobby in text) for hobby in HOBBIES] for text in texts], np.float32)
        return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)

    def encode_long(self, texts: list[str], max_pieces: int) -> np.ndarray:
        self.read.append(texts)
        assert max_pieces == 3
        return self.encode(texts)

    def base(self) -> "Reader":
        return self


@pytest.fixture(scope="module")
def reader():
    return Reader()


@pytest.fixture(scope="module")
def writing(served, tables, planted, reader) -> Recommender:
    """A recommender whose users have all written about their hobby; their words decide where there is no history."""
    cluster = planted.user_cluster[tables.users["user_id"]].to_numpy()
    users = np.arange(len(cluster))
    vectors = np.eye(4, dtype=np.float32)
    texts = UserTexts(users, np.full(len(users), NO_ITEM), np.ones(len(users), bool), cluster.astype(np.int64), vectors)
    data = tables.train_set.with_user_texts(texts)
    blend = weights(few_shot=((0, {"user_text": 0.9, "popular": 0.1}),), ials=0.5, user_text=0.5)
    fields = {"metadata": served.metadata, "encoder_of": lambda: reader, "histories": data.queries()}
    return recommender_of(tables, hybrid(blend).fit(data), about={"max_pieces": 3}, **fields)


def clusters(planted, answer):
    return set(planted.item_cluster[answer.item_ids])


@pytest.mark.parametrize("cluster", range(4))
def test_words_about_oneself_are_a_list(writing, planted, cluster):
    text = f"On Sundays {HOBBIES[cluster]} are all that I look after."
    (answer,) = writing.recommend([Request(user_text=[text])], Settings(k=8))
    assert clusters(planted, answer) == {cluster}
    assert answer.path == "user_text"
    assert set(answer.reasons) == {"own_words"}


def test_texts_join_what_is_stored(writing, planted, tables):
    user = tables.users["user_id"].iloc[0]
    stored = writing.histories.user_text[0]
    batch = writing._read([Request(user_id=user, user_text=["tulips", "clocks"]), Request(user_id=user)], Settings())
    np.testing.assert_allclose(batch.query.user_text[0] - stored, np.r_[0, 1, 1, 0, np.zeros(4)], atol=1e-6)
    np.testing.assert_array_equal(batch.query.user_text[1], stored)


def test_texts_of_a_batch_are_read_at_once(writing, reader):
    reader.read.clear()
    writing.recommend([Request(user_text=["bees"]), Request(), Request(user_text=["tulips", " ", "clocks"])])
    assert reader.read == [["bees", "tulips", "clocks"]]


def test_nobody_s_words_cost_nothing(writing, reader):
    reader.read.clear()
    writing.recommend([Request(), Request(user_text=["", None])])
    assert reader.read == []


def test_a_model_of_a_catalogue_without_texts_refuses_them(served):
    with pytest.raises(BadInputError, match=r"fitted on no texts of users.*goes into query"):
        served.recommend([Request(user_text=["bees"])])
    assert describe(served, "1")["user_text"] is False


def test_the_token_table_reads_none(writing, served):
    table = replace(writing, encoder_of=served.encoder_of)
    with pytest.raises(BadInputError, match=r"token table reads no texts.*tailor-recsys\[encoder\]"):
        table.recommend([Request(user_text=["bees"])])
    assert describe(writing, "1")["user_text"] is True


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("bees", r"user_text: 'bees' is not a list of texts"),
        ([3], r"user_text: '3' is not a text"),
        (["x" * 2001], r"user_text\[0\]: 2001 characters; send at most 2000"),
        (["x"] * 21, r"user_text: 21 items in one request; send at most 20"),
    ],
)
def test_bad_texts_are_refused_by_name(given, words):
    with pytest.raises(BadInputError, match=words):
        Request(user_text=given)


def test_the_package_keeps_sums_and_no_text(writing, tmp_path, reader, planted):
    saved = replace(writing, encoder_of=None)
    saved.save(tmp_path / "package")
    loaded = Recommender.load(tmp_path / "package")
    np.testing.assert_array_equal(loaded.histories.user_text, writing.histories.user_text)
    user = Request(user_id=str(writing.user_ids[5]))
    (before,), (after,) = (model.recommend([user], Settings(k=5)) for model in (saved, loaded))
    assert before.item_ids == after.item_ids
    assert not any(b"bees" in path.read_bytes() for path in (tmp_path / "package").rglob("*") if path.is_file())


@pytest.mark.parametrize("history", [0, 3])
def test_parts_of_a_score_sum_with_words_of_one_s_own(writing, history):
    request = Request(user_text=["bees"], history=writing.item_ids[:history].tolist())
    (answer,) = writing.recommend([request], Settings(k=5, explain=True))
    for entry, score in zip(answer.explanations, answer.scores, strict=True):
        assert entry["sources"]["user_text"] != 0
        assert sum(entry["sources"].values()) + sum(entry["parts"].values()) == pytest.approx(score, abs=1e-4)
