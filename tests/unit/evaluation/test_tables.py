"""The metrics table: item buckets and user buckets."""

from math import log2

import numpy as np
import pytest
from scipy import sparse

from tailor.evaluation.tables import measure_lists
from tailor.metrics import Lists, find_metric
from tailor.testing.metrics import fabricate_metadata

LISTS = np.array([[3, 1, 0], [2, -1, -1], [0, 1, 2]])

POSITIVES = sparse.csr_matrix(np.array([[1, 0, 0, 1], [0, 0, 1, 0], [0, 0, 0, 0]], dtype=np.float32))


def test_buckets_count_only_their_positives_in_the_ideal_too():
    lists = Lists.build(LISTS[:2], fabricate_metadata(4), positives=POSITIVES[:2])
    chosen = [find_metric(name) for name in ("ndcg", "recall")]
    rows = measure_lists(lists, chosen, [3], np.array(["tail", "head", "head", "head"]), np.array(["q1", "q2"]))
    value = rows.set_index(["item_bucket", "user_bucket", "metric"])["value"]
    users = rows.set_index(["item_bucket", "user_bucket", "metric"])["n_users"]
    assert value["tail", "all", "ndcg"] == pytest.approx(1 / log2(4))  # item 0 at rank 3; ideal is rank 1
    assert users["tail", "all", "ndcg"] == 1
    assert value["head", "all", "ndcg"] == pytest.approx((1 + 1) / 2)
    assert value["all", "q2", "recall"] == 1.0


def test_groups_of_items_are_measured_as_buckets_are_and_may_overlap():
    lists = Lists.build(LISTS[:2], fabricate_metadata(4), positives=POSITIVES[:2])
    buckets = np.array(["tail", "head", "head", "head"]), np.array(["q1", "q1"])
    groups = {"warm": np.array([True, True, False, True]), "known": np.array([True, True, True, False])}
    chosen = [find_metric("recall"), find_metric("catalog_coverage")]
    rows = measure_lists(lists, chosen, [2], *buckets, item_groups=groups | {"empty": np.zeros(4, bool)})
    of = rows[rows["metric"] == "recall"].set_index("item_bucket")
    # The first user finds item 3 of 0 and 3, the second item 2.
    assert of["value"].to_dict() == {"all": 3 / 4, "tail": 0.0, "head": 1.0, "warm": 1 / 2, "known": (0 + 1) / 2}
    assert of["n_users"].to_dict() == {"all": 2, "tail": 1, "head": 2, "warm": 1, "known": 2}
    assert set(rows["item_bucket"][rows["metric"] == "catalog_coverage"]) == {"all"}
