"""Kinds of behaviour as strengths: the strongest counts, what speaks against a pair blocks it, unknown kinds stop."""

import re

import numpy as np
import pandas as pd
import pytest

from tailor import columns as c
from tailor.config import parse
from tailor.data.cleaning import RowRules, clean_interactions, columns_of_update
from tailor.data.config import CleaningOptions, ColumnOptions, DataProcessingOptions, SplitOptions
from tailor.data.events import EventOptions
from tailor.data.interactions import blocked_pairs, positive_rows, restrict_strengths, split_matrix, strength_matrix
from tailor.data.quality import QualityReport
from tailor.data.split import label_interactions, split_interactions
from tailor.errors import BadInputError, ConfigurationError

COLUMNS = ColumnOptions(interactions={name: name for name in ("user_id", "item_id", "event", "timestamp")})
ITEMS = pd.DataFrame({"item_id": list("abcdef")})
WEIGHTS = {"view": 0.2, "cart": 0.6, "buy": 1.0, "returned": -0.7, "not_for_me": "bar", "ping": 0}


def cleaned(rows, weights=WEIGHTS, report=None):
    raw = pd.DataFrame(rows, columns=["user_id", "item_id", "event", "timestamp"])
    events, report = EventOptions(weights=weights), report or QualityReport()
    return clean_interactions(raw, ITEMS, COLUMNS, CleaningOptions(), report, rules=RowRules(events=events)).set_index(
        "item_id"
    )


def test_the_strongest_counts_at_the_time_of_its_latest_row():
    rows = [
        ("u", "a", "buy", 5),
        ("u", "a", "view", 9),
        ("u", "a", "buy", 7),
        ("u", "a", "cart", 8),
        ("u", "b", "view", 3),
    ]
    pairs = cleaned(rows)
    assert pairs["confidence"].to_dict() == {"a": 1.0, "b": 0.2}
    assert pairs["timestamp"].to_dict() == {"a": 7, "b": 3}
    assert pairs["event"].to_dict() == {"a": "buy", "b": "view"}


def test_what_speaks_against_a_pair_is_subtracted_or_bars_it():
    rows = [
        *(("u", "a", "buy", 1), ("u", "a", "returned", 2), ("u", "a", "returned", 3)),  # 1 - .7, once
        *(("u", "b", "cart", 1), ("u", "b", "returned", 2)),  # .6 - .7
        *(("u", "c", "not_for_me", 1), ("u", "c", "buy", 2)),
        ("u", "d", "returned", 4),
        ("u", "e", "buy", 5),
    ]
    pairs = cleaned(rows)
    assert pairs["confidence"].to_dict() == pytest.approx({"a": 0.3, "b": 0.0, "c": 0.0, "d": 0.0, "e": 1.0})
    # A blocked pair is blocked from the row on that blocks it.
    assert pairs["timestamp"].to_dict() == {"a": 1, "b": 2, "c": 1, "d": 4, "e": 5}


def test_rows_are_accounted_for():
    report = QualityReport()
    rows = [("u", "a", "ping", 1), ("u", "a", "view", 2), ("u", "a", " buy ", 3), ("u", "b", "not_for_me", 4)]
    assert cleaned(rows, report=report)["confidence"].to_dict() == {"a": 1.0, "b": 0.0}
    problems = report.to_frame().set_index("problem")["rows"].to_dict()
    assert problems == {
        "a kind of strength 0: not read": 1,
        "repeated (user_id, item_id) (the strongest is kept)": 1,
        "pairs that are blocked: not learnt from, not listed": 1,
    }
    assert report.accounts()["kept"].tolist() == [2]


def test_kinds_of_strength_0_are_no_defects():
    """However many: what is looked at far outnumbers what is bought."""
    rows = [("u", "a", "ping", t) for t in range(99)] + [("u", "b", "buy", 100)]
    assert cleaned(rows)["confidence"].to_dict() == {"b": 1.0}


def test_an_unknown_kind_stops_and_the_known_are_named():
    with pytest.raises(BadInputError) as refused:
        cleaned([("u", "a", "buy", 1), ("u", "a", "carts", 2)])
    assert str(refused.value) == (
        "raw_interactions: the kind 'carts' (row 2, 1 rows of unknown kinds in all) has no strength in "
        "data_processing.events.weights. Did you mean 'cart'? Known: view, cart, buy, returned, not_for_me, ping. Add "
        "it there; 0 leaves its rows out."
    )
    with pytest.raises(BadInputError, match="the kind 'nan'"):
        cleaned([("u", "a", "buy", 1), ("u", "a", None, 2)])


def test_weights_need_the_column():
    raw = pd.DataFrame({"user_id": ["u"], "item_id": ["a"], "timestamp": [1]})
    columns = ColumnOptions(interactions={name: name for name in raw})
    with pytest.raises(BadInputError, match="weights is set, but no column is mapped to 'event'"):
        clean_interactions(
            raw,
            ITEMS,
            columns,
            CleaningOptions(),
            QualityReport(),
            rules=RowRules(events=EventOptions(weights={"buy": 1})),
        )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"events": {"weights": {"view": 0, "no": "bar"}}}, "no kind is above 0"),
        ({"events": {"weights": {"buy": 1.5}}}, "events.weights.buy"),
        ({"events": {"weights": {"page.view": 0.2, "buy": 1}}}, "the kind 'page.view' has a dot"),
        ({"events": {"weights": {"buy": "ban"}}}, "events.weights.buy"),
        ({"events": {"weights": {"buy": 1}}, "cleaning": {"positive_events": ["buy"]}}, "leave positive_events out"),
    ],
)
def test_options_that_mean_nothing_are_refused(options, words):
    with pytest.raises(ConfigurationError, match=words):
        parse(DataProcessingOptions, options, "data_processing")


def test_kinds_may_be_codes():
    raw = pd.DataFrame({"user_id": ["u", "u"], "item_id": ["a", "b"], "event": [1, 4], "timestamp": [1, 2]})
    events = parse(EventOptions, {"weights": {1: 0.2, 4: 1.0}}, "data_processing.events")
    pairs = clean_interactions(raw, ITEMS, COLUMNS, CleaningOptions(), QualityReport(), rules=RowRules(events=events))
    assert pairs["confidence"].tolist() == [0.2, 1.0]


def test_without_weights_nothing_changes():
    raw = pd.DataFrame({"user_id": ["u", "u"], "item_id": ["a", "a"], "event": ["buy", "view"], "timestamp": [1, 2]})
    pairs = clean_interactions(raw, ITEMS, COLUMNS, CleaningOptions(), QualityReport())
    assert "confidence" not in pairs
    assert pairs["event"].tolist() == ["view"]


def test_an_update_needs_the_kinds_too():
    options = DataProcessingOptions(columns=COLUMNS, events=EventOptions(weights=WEIGHTS))
    raw = pd.DataFrame({"user_id": ["u"], "item_id": ["a"], "timestamp": [1]})
    assert columns_of_update(raw, options).interactions["event"] == "event"


def rows_of(user, confidences, start=0):
    n = len(confidences)
    return pd.DataFrame(
        {"user_id": user, "item_id": [f"{user}{i}" for i in range(n)], "timestamp": start + np.arange(n, dtype=float)}
    ).assign(confidence=confidences)


def labels_of(confidences, strategy="per_user", train=0.5, validation=0.25):
    options = SplitOptions(strategy=strategy, train=train, validation=validation, cold_items=0.0, new_users=0.0)
    rows = pd.concat([rows_of("u", confidences), rows_of("v", [0.2, 0.2])], ignore_index=True)
    labels = label_interactions(rows, options, 0, 1.0)
    return labels[: len(confidences)].tolist(), labels[len(confidences) :].tolist()


def test_windows_are_made_of_hits_and_weak_rows_lie_beside_them():
    # Four hits: two train, one validation, one test. What follows the second is before the third: still train? No: it
    # lies in the window of the hit that follows.
    of_u, of_v = labels_of([0.2, 1, 0.0, 1, 0.2, 1, 0.0, 1, 0.2])
    t, v, x = c.TRAIN, c.VALIDATION, c.TEST
    assert of_u == [t, t, c.BLOCKED, t, c.LATER, v, c.LATER, x, c.LATER]
    assert of_v == [t, t]  # no hit: what they looked at is learnt from


def test_leave_one_out_takes_the_last_hits():
    of_u, _ = labels_of([1, 1, 1, 0.2, 0.2], "leave_one_out")
    assert of_u == [c.TRAIN, c.VALIDATION, c.TEST, c.LATER, c.LATER]


def test_at_two_dates_weak_rows_follow_the_dates():
    of_u, of_v = labels_of([1, 0.2, 1, 1, 0.2, 1], "global_time")
    assert of_u == [c.TRAIN, c.TRAIN, c.TRAIN, c.VALIDATION, c.LATER, c.TEST]
    assert set(of_v) == {c.TRAIN}  # in the first seconds


def test_a_given_split_keeps_to_hits():
    rows = rows_of("u", [1, 0.2, 0, 1, 0.2, 1]).assign(split=["train"] * 3 + ["validation"] * 2 + ["test"])
    labels = label_interactions(rows, SplitOptions(), 0, 1.0)
    assert labels.tolist() == ["train", "train", "blocked", "validation", "later", "test"]


def test_new_users_are_measured_on_hits():
    options = SplitOptions(new_users=0.99, cold_items=0.0)
    labels = label_interactions(rows_of("u", [1, 0.2, 0.0, 1]), options, 0, 1.0)
    assert labels.tolist() == [c.NEW_USER, c.LATER, c.LATER, c.NEW_USER]


def test_without_kinds_no_label_is_new():
    rows = rows_of("u", [1.0] * 10).drop(columns="confidence")
    assert set(label_interactions(rows, SplitOptions(cold_items=0.0), 0)) <= set(c.SPLITS)


def test_strengths_as_a_matrix():
    rows = rows_of("u", [1, 0.25, 0]).assign(split=[c.TRAIN, c.TRAIN, c.BLOCKED])
    users, items = pd.DataFrame({"user_id": ["t", "u"]}), pd.DataFrame({"item_id": ["u2", "u1", "u0", "x"]})
    strengths = strength_matrix(rows, users, items, (c.TRAIN, c.BLOCKED))
    assert strengths.toarray().tolist() == [[0, 0, 0, 0], [-1, 0.25, 1, 0]]
    train = split_matrix(rows, users, items, [c.TRAIN])
    assert restrict_strengths(strengths, train).toarray().tolist() == [[0, 0, 0, 0], [0, 0.25, 1, 0]]
    assert blocked_pairs(strengths, strengths.shape).toarray().tolist() == [[0, 0, 0, 0], [1, 0, 0, 0]]
    plain = strength_matrix(rows.drop(columns="confidence"), users, items, c.SPLITS)
    assert plain.nnz == blocked_pairs(plain, plain.shape).nnz == 0
    assert restrict_strengths(plain, train) is None
    assert len(positive_rows(rows)) == 2
    assert len(positive_rows(rows.drop(columns="confidence"))) == 3


def test_what_counts_as_a_hit():
    assert EventOptions(weights=WEIGHTS).least_of_hit == 1
    assert EventOptions(weights={"view": 0.2, "buy": 0.6, "no": "bar"}).least_of_hit == 0.6
    assert EventOptions(weights=WEIGHTS, positive=0.2).least_of_hit == 0.2
    with pytest.raises(ConfigurationError, match=r"events\.positive' = 1e-09: .* greater than or equal to 0\.000001"):
        parse(EventOptions, {"positive": 1e-9}, "events")


def test_digits_that_no_confidence_has_make_no_hit_a_miss():
    """1/3 to seven digits is more than the confidence of the same kind, which has six."""
    options = EventOptions(weights={"view": 0.2, "buy": 0.3333333})
    assert cleaned([("u", "a", "buy", 1)], options.weights)["confidence"].tolist() == [options.least_of_hit]


def test_a_split_in_which_nothing_is_a_hit_is_refused():
    rows = pd.concat([rows_of(user, [0.6, 0.2, 0.0]) for user in "abc"])
    message = (
        "No pair counts as a hit: the strongest has 0.6 and a hit has at least 1. Set data_processing.events.positive"
    )
    with pytest.raises(BadInputError, match=re.escape(message)):
        split_interactions(rows, SplitOptions(), 0, EventOptions(weights=WEIGHTS).least_of_hit)
