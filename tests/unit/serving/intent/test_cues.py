"""Phrases are matched longest first, with signs for any word and any ending."""

import pytest

from tailor.serving.intent.cues import STOP, Cue, cues_at


@pytest.mark.parametrize(
    ("words", "n_words", "cue"),
    [
        ("not only that", 2, Cue.YES),
        ("not him", 1, Cue.NOT),
        ("no film without", 3, Cue.YES),
        ("hated it", 1, Cue.AVERSE),
        ("shouldn't go", 1, Cue.NOT),
        ("keinerlei", 1, Cue.NOT),
        ("bores me", 1, Cue.BAD),
    ],
)
def test_the_longest_phrase_comes_first(words, n_words, cue):
    assert cues_at(words.split(), 0)[0] == (n_words, cue)


def test_signs_of_chinese_are_words():
    assert cues_at(list("不只是战争"), 0)[0] == (3, Cue.YES)
    assert cues_at(list("不要战争"), 0)[0] == (2, Cue.NOT)


def test_other_words_are_no_cue():
    assert cues_at(["dragons"], 0) == []
    assert "dragons" not in STOP
