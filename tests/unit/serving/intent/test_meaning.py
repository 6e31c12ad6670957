"""Which categories a text is about, and when it is about none."""

import numpy as np
import pytest

from tailor.serving.intent.meaning import Meaning, random_texts

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
