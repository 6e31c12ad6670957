"""Which categories a text is about, and when it is about none."""

import numpy as np
import pytest

from tailor.serving.intent.meaning import Meaning, centred, random_texts

DIRECTIONS = {"cowboys": [1.0, 0, 0], "ghosts": [0, 1.0, 0], "weather": [0.0, 0, 1.0]}


class Reads:
    """Knows three words, a direction each; letters that are no word lean a little to the first."""

    def encode(self, texts):
        rows = []
        for text in texts:
            row = sum((np.array(v) for word, v in DIRECTIONS.items() if word in text), np.array([0.1, 0, 0.4]))
            rows.append(row / np.linalg.norm(row))
        return np.array(rows, np.float32)


@pytest.fixture(scope="module")
def meaning():
    return Meaning.of(Reads(), ["Western", "Horror"], {"Western": "cowboys", "Horror": "ghosts"})


def test_a_text_is_about_what_its_words_describe(meaning):
    shares, about = meaning.read(["two cowboys", "ghosts", "cowboys and ghosts"])
    assert about.all()
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-5)
    assert shares[:, 0].argmax() == 0
    assert shares[1].argmax() == 1
    assert 0.2 < shares[2, 0] < 0.8


def test_what_is_no_nearer_than_random_texts_is_about_nothing(meaning):
    shares, about = meaning.read(["xyzzy", "the weather in Lima"])
    assert not about.any()
    assert not shares.any()


def test_texts_that_are_encoded_already_are_read_alike(meaning):
    texts = ["spaceships", "blargh"]
    for read, expected in zip(meaning.read_rows(meaning.encoder.encode(texts)), meaning.read(texts), strict=True):
        np.testing.assert_array_equal(read, expected)


def test_without_categories_every_text_counts():
    shares, about = Meaning.of(Reads(), [], {}).read(["xyzzy"])
    assert about.all()
    assert shares.shape == (1, 0)


def test_random_texts_are_of_the_same_letters_and_the_same_each_time():
    texts = random_texts(["aab", "c"])
    assert set("".join(texts)) == set("abc ")
    assert texts == random_texts(["aab", "c"])
    assert len(texts) == 100
    assert random_texts(["12"]) == [""]


class Alike:
    """As encoders of the kind of E5: every two texts are near each other; three words lean to a direction each."""

    def encode(self, texts):
        rows = [[*self._leaning(text), 3.0] for text in texts]
        return (np.array(rows) / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)

    def encode_passages(self, texts):
        return self.encode(texts)

    @staticmethod
    def _leaning(text):
        known = (("cowboys", "牛仔"), ("ghosts", "鬼"), ("soldiers", "兵"))
        lean = [float(any(word in text for word in words)) for words in known]
        lean[len(text) % 3] += 0.05
        return lean


@pytest.fixture(scope="module")
def other():
    names = ["Western", "Horror", "War"]
    described = {"Western": "cowboys, saloons and horses", "Horror": "ghosts", "War": "soldiers"}
    items = Alike().encode_passages(["cowboys", "ghosts", "soldiers", "ghosts and soldiers"])
    return Meaning.of_other(Alike(), names, described, items)


def test_another_encoder_is_read_above_the_mean_of_its_cosines(other):
    cosine = Alike().encode(["blargh", "ghosts"]) @ other.prototypes.T
    assert (cosine > 0.9).all()
    shares, about = other.read(["blargh", "鬼", "ghosts", "two cowboys", "兵"])
    assert about.tolist() == [False, True, True, True, True]
    assert shares.argmax(axis=1).tolist() == [0, 1, 1, 0, 2]
    assert shares[1, 1] > 0.95
    assert not shares[0].any()


def test_the_threshold_and_the_temperature_are_of_the_other_encoder(other):
    null = centred(Alike().encode(random_texts(["cowboys"])) @ other.prototypes.T).max(axis=1)
    assert 0 < other.threshold <= null.max() * 1.01
    assert other.temperature == pytest.approx(0.2 * other.threshold)


def test_descriptions_are_read_as_a_whole_and_phrase_by_phrase():
    read = []

    class Reads(Alike):
        def encode_passages(self, texts):
            read.append(list(texts))
            return self.encode(texts)

    Meaning.of_other(Reads(), ["Western", "War"], {"Western": "cowboys, saloons and horses"}, np.zeros((0, 4)))
    assert read == [
        ["Western: cowboys, saloons and horses", "War"],
        ["cowboys", "saloons", "horses", "Western"],
        ["War"],
    ]


def test_nearness_to_items_is_above_the_mean_over_items(other):
    items = Alike().encode_passages(["cowboys", "ghosts", "soldiers", "ghosts and soldiers"])
    cosine = items @ Alike().encode(["鬼", "blargh"]).T
    assert other.near_items(cosine).tolist() == [True, False]
    np.testing.assert_allclose(centred(np.array([[0.7, 0.9]], np.float32)), [[-0.1, 0.1]], atol=1e-6)


def test_without_items_and_categories_nothing_breaks():
    empty = Meaning.of_other(Alike(), [], {}, np.zeros((0, 4), np.float32))
    assert empty.read(["鬼"])[1].all()
    one = Meaning.of_other(Alike(), ["Horror"], {}, np.zeros((0, 4), np.float32))
    assert not one.read(["blargh"])[1].any()
