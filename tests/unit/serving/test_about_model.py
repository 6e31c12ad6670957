"""What a served model is, and what it asks a new visitor."""

from dataclasses import replace

import numpy as np
import pytest

from tailor.hybrid.config import Boosts
from tailor.hybrid.elicit import choose_items
from tailor.serving.about_model import bucket_of, describe, elicit


def test_it_says_where_it_starts(served, names):
    at = Boosts(tail_boost=0.4, cold_boost=0.2)
    scenarios = {"scenarios": {"home": {}, "discover": {"tail_boost": 0.5, "half_life": 5.0}}}
    moved = replace(served, model=served.model.with_boosts(at), about=served.about | scenarios)
    said = describe(moved, "7")
    assert (said["version"], said["items"]) == ("7", len(served.item_ids))
    assert said["boosts"] == {"tail_boost": 0.4, "cold_boost": 0.2, "popularity_debias": 0.0}
    assert said["scenarios"] == {"home": {}, "discover": {"tail_boost": pytest.approx(0.7), "half_life": 5.0}}
    assert [name.lower() for name in said["categories"]] == names
    assert said["filters"] == {"year": {"min": 1980.0, "max": 2019.0}}
    assert (said["defaults"]["k"], said["defaults"]["tail_boost"], said["words"]) == (20, None, True)
    assert (said["profile"], said["context"]) == ([], [])


def test_profile_columns_come_with_their_values(by_profile, planted):
    (column,) = describe(by_profile, "1")["profile"]
    assert column["name"] == "cluster"
    assert column["values"] == sorted({str(cluster) for cluster in planted.user_cluster})
    assert column["numeric"] is False


def test_a_model_without_boosts_and_texts_says_so(popular):
    said = describe(popular, "1")
    assert (said["boosts"], said["categories"], said["filters"], said["words"]) == ({}, [], {}, False)
    assert bucket_of(popular, np.array([0, 1])) == ["", ""]


def test_any_model_that_knows_histories_can_ask(popular, tables):
    expected = choose_items(popular.histories.history, tables.train_set.counts > 0, 3)
    assert elicit(popular, 3) == popular.item_ids[expected].tolist()


def test_buckets_are_new_tail_or_nothing(served, tables):
    expected = {"cold": "new", "unseen": "new", "tail": "tail", "head": ""}
    assert bucket_of(served, np.arange(len(tables.items))) == [expected[name] for name in tables.items["bucket"]]


def test_what_is_asked_are_warm_items_that_tell_most_of_the_others(served, tables):
    asked = elicit(served, 6)
    expected = choose_items(served.histories.history, tables.warm, 6)
    assert asked == served.item_ids[expected].tolist()
    assert len(set(tables.items.set_index("item_id")["genre"][asked])) >= 3  # not six of one kind
    assert asked[0] not in elicit(served.without_items(asked[:1]), 6)
    assert elicit(served, 2) == asked[:2]


def test_items_without_train_interactions_are_not_asked_about(served):
    first = served.item_indices(elicit(served, 1))
    warm = served.model.warm.copy()
    warm[first] = False
    fewer = replace(served, model=replace(served.model, warm=warm))
    assert served.item_ids[first[0]] not in elicit(fewer, 20)
