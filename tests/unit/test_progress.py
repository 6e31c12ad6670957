"""What a fit says while it goes on, and where it says nothing."""

import sys

import pytest

from tailor import progress
from tailor.hybrid.sources import SOURCES
from tailor.models import transformer_torch
from tailor.models.registry import BASELINES, build
from tailor.progress import announce
from tests.recipes import FAST

#: One pass over the interactions or the texts, or nothing at all: seconds where there are ten million rows.
ONE_PASS = {"random", "constant", "popular", "text_knn", "contextual", "demographic", "user_text"}
#: Derived from another source.
DERIVED = {"text_factors", "recent_ease", "recent_text"}
NEAREST = {"max_dense_items": 10, "neighbours": 5}
#: Of each model that is fitted step by step: what its bars, or the lines before a call, say.
SAID = {
    "implicit_als": ({}, {"implicit ALS"}),
    "ials": ({}, {"iALS"}),
    "text_ials": ({}, {"iALS"}),
    "item_knn": ({}, {"item-KNN"}),
    "ease": ({}, {"inverse of a matrix of"}),
    "text_ease": (NEAREST, {"text_ease"}),
    "transition_knn": ({}, {"transitions"}),
    "slit": ({}, {"inverse of a matrix of"}),
    "marec": ({}, {"MARec: similarities", "inverse of a matrix of"}),
    "dropoutnet": ({}, {"DropoutNet"}),
    "sasrec": ({}, {"sasrec, epoch 1"}),
    "transformer": ({}, {"transformer, epoch 1"}),
}


@pytest.fixture
def said(monkeypatch, caplog):
    """Labels of bars that moved and of calls that were announced, however short they were."""
    transformer_torch.forget()  # a fit that an earlier test made says nothing
    labels = []

    class Recorded(progress.Bar):
        def close(self):
            labels.extend([self.desc] if self.n else [])
            super().close()

    monkeypatch.setattr(progress, "Bar", Recorded)
    monkeypatch.setattr(progress, "_OPERATIONS_PER_S", 1.0)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(progress.log, "info", lambda message, label, seconds: labels.append(label))
    return labels


def test_every_model_is_looked_at():
    assert {*SAID, *ONE_PASS, *DERIVED} == {*BASELINES, *SOURCES}


@pytest.mark.parametrize("name", SAID)
def test_a_fit_that_may_take_long_says_how_far_it_is(name, tables, said):
    options, expected = SAID[name]
    build(name, FAST.get(name, {}) | options, 0).fit(tables.train_set)
    for label in expected:
        assert any(text.startswith(label) for text in said), said


def test_a_long_call_is_announced_on_a_terminal_with_its_time(monkeypatch, caplog):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with caplog.at_level("INFO"):
        announce("inverse of a matrix of 1,000 rows", 1000**3)
        announce("inverse of a matrix of 10,000 rows", 10_000**3)
    assert [record.message for record in caplog.records] == [
        "inverse of a matrix of 10,000 rows: about 100 s on one thread"
    ]


def test_in_a_log_nothing_is_announced(monkeypatch, caplog):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False, raising=False)
    with caplog.at_level("INFO"):
        announce("inverse of a matrix of 10,000 rows", 10_000**3)
    assert not caplog.records


def test_a_fit_that_is_over_at_once_prints_nothing(tables, capfd):
    build("text_ease", FAST["text_ease"] | NEAREST, 0).fit(tables.train_set)
    build("implicit_als", FAST["implicit_als"], 0).fit(tables.train_set)
    assert capfd.readouterr().err == ""
