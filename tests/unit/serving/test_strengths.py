"""Kinds of behaviour in requests count by the strengths of the fit; what they speak against is not listed."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from tailor.errors import BadInputError
from tailor.serving.items import read_items
from tailor.serving.recommender import Recommender
from tailor.serving.schema import Request, Settings
from tailor.serving.strengths import taken, with_strengths
from tests.unit.serving.conftest import listed, scores_of

STRENGTHS = {"view": 0.2, "buy": 1.0, "returned": -0.7, "not_for_me": "bar", "ping": 0}


def read(history, events, **fields):
    (request,) = with_strengths([Request(history=history, events=events, **fields)], STRENGTHS)
    assert request.events == ()
    return request.history, request.weights, request.exclude


def test_kinds_become_weights():
    assert read(["a", "b", "c"], ["view", "buy", "ping"]) == (("a", "b"), (0.2, 1.0), ())


def test_the_strongest_kind_counts_where_the_item_stands_last():
    assert read(["a", "b", "a"], ["buy", "view", "view"]) == (("b", "a"), (0.2, 1.0), ())


def test_what_speaks_against_an_item_is_subtracted_or_bars_it():
    assert read(["a", "a", "b"], ["buy", "returned", "not_for_me"], exclude=["z"]) == (("a",), (0.3,), ("z", "b"))
    assert read(["a", "a"], ["view", "returned"]) == ((), (), ("a",))
    assert read(["a", "a"], ["not_for_me", "buy"]) == ((), (), ("a",))


def test_requests_without_kinds_stay_as_they_are():
    plain = [Request(history=["a"], weights=[0.5]), Request()]
    assert with_strengths(plain, {}) is plain
    assert with_strengths([*plain, Request(history=["a"], events=["buy"])], STRENGTHS)[0] is plain[0]


def test_unknown_kinds_and_models_without_kinds_are_refused():
    message = "events: no kind 'buys'. Did you mean 'buy'? Known: view, buy, returned, not_for_me, ping."
    with pytest.raises(BadInputError, match=re.escape(message)):
        read(["a"], ["buys"])
    with pytest.raises(BadInputError, match="fitted without kinds of behaviour; send weights instead"):
        with_strengths([Request(history=["a"], events=["buy"])], {})


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"history": ["a", "b"], "events": ["buy"]}, "events: 1 for a history of 2; give one per item"),
        ({"history": ["a"], "events": ["buy"], "weights": [1.0]}, "give one of them"),
    ],
)
def test_requests_that_say_two_things_are_refused(fields, words):
    with pytest.raises(BadInputError, match=words):
        Request(**fields)


def test_an_answer_follows_the_kinds(served, history):
    knows = replace(served, about=served.about | {"strengths": STRENGTHS})
    first, second = history[:2]
    of_kinds = scores_of(knows, Request(history=[first, second], events=["view", "buy"]))
    of_weights = scores_of(served, Request(history=[first, second], weights=[0.2, 1.0]))
    np.testing.assert_allclose(of_kinds[of_weights.index], of_weights)
    listed_items = listed(knows, Request(history=[first, second], events=["buy", "not_for_me"]), k=1000).item_ids
    assert second not in listed_items


@pytest.fixture(scope="module")
def blocking(served):
    """The first user likes one item of the history less, and has two items that are blocked."""
    history = served.histories.history
    confidence = history.copy()
    confidence.data[:] = np.linspace(0.2, 1.0, history.nnz, dtype=np.float32)
    blocked = np.flatnonzero(np.asarray(history[[0]].toarray()).ravel() == 0)[:2]
    cells = (np.ones(2, np.float32), (np.zeros(2, np.int64), blocked))
    return replace(
        served,
        histories=replace(served.histories, confidence=confidence, memo={}),
        blocked=sparse.csr_matrix(cells, shape=history.shape),
    ), served.item_ids[blocked].tolist()


@pytest.mark.parametrize("exclude_seen", [True, False])
def test_blocked_pairs_are_never_listed_to_that_user(blocking, exclude_seen):
    model, items = blocking
    first, second = (str(user) for user in model.user_ids[:2])
    settings = Settings(k=1000, exclude_seen=exclude_seen)
    to_first, to_second, to_nobody = model.recommend([Request(first), Request(second), Request()], settings)
    assert not set(items) & set(to_first.item_ids)
    assert set(items) <= set(to_nobody.item_ids)
    taken = set(model.item_ids[model.histories.history[[1]].indices])
    assert set(items) - taken <= set(to_second.item_ids)


def test_stored_histories_count_by_their_strengths(blocking, served):
    model, items = blocking
    user = str(model.user_ids[0])
    row = model.histories.confidence[[0]]
    history = model.histories.order[[0]]
    order = np.argsort(history.data)
    named = Request(history=model.item_ids[history.indices[order]].tolist(), weights=row.data[order].tolist())
    one, other = scores_of(model, Request(user)), scores_of(served, named)
    np.testing.assert_allclose(one, other[one.index], rtol=1e-4, atol=1e-4)
    assert items[0] not in one.index


def test_strengths_and_blocked_pairs_are_saved(blocking, tmp_path):
    model, _ = blocking
    plain = replace(model, encoder_of=None)
    plain.save(tmp_path / "package")
    loaded = Recommender.load(tmp_path / "package")
    np.testing.assert_array_equal(loaded.histories.confidence.toarray(), model.histories.confidence.toarray())
    np.testing.assert_array_equal(loaded.blocked.toarray(), model.blocked.toarray())
    user = Request(str(model.user_ids[0]))
    assert listed(loaded, user).item_ids == listed(plain, user).item_ids


def test_items_that_join_widen_strengths_and_blocked_pairs(blocking):
    model, items = blocking
    new = model.item_features[:1]
    grown = model.with_new_items(read_items(model, [{"item_id": "new", "title": "thing", "genre": "alien"}]), new)
    assert grown.blocked.shape == grown.histories.confidence.shape == grown.histories.history.shape
    assert not set(items) & set(listed(grown, Request(str(model.user_ids[0])), k=1000).item_ids)


def test_weak_and_blocked_pairs_make_nothing_popular():
    rows = pd.DataFrame({"item_id": list("abcd"), "confidence": [0.0, 0.2, 0.6, 1.0]})
    assert taken(rows, {"view": 0.2, "cart": 0.6, "buy": 1.0, "no": "bar"}, 0.5)["item_id"].tolist() == ["c", "d"]
    # Where even the strongest kind weighs less than an event must, it counts.
    assert taken(rows, {"view": 0.1, "buy": 0.2}, 0.5)["item_id"].tolist() == ["b", "c", "d"]
    plain = rows.drop(columns="confidence")
    assert taken(plain, {}, 0.5) is plain
