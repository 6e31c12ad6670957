"""From lists to metrics, summary and comparison: a metric of someone else reaches every table."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from tailor.evaluation.measure import compare, headline_values, measure_known_users, measure_new_users
from tailor.evaluation.plots import summary_table
from tailor.evaluation.protocol import NewUserProtocol, validation_protocol
from tailor.evaluation.protocol import test_protocol as protocol_of_test
from tailor.evaluation.verdict import against_best_baseline
from tailor.metrics import MIXED_TEST, Headline, Lists, Scope, metric
from tailor.metrics import base as module
from tailor.options import EvaluationOptions
from tailor.testing.metrics import fabricate_metadata

#: Side features of 24 users of whom nothing is known.
NO_PROFILES = {"profiles": np.zeros((24, 0), np.float32)}


@pytest.fixture
def registry(monkeypatch):
    """The registry, which is after the test what it was before."""
    monkeypatch.setattr(module, "_METRICS", dict(module._METRICS))


@pytest.fixture
def catalogue():
    """A run's tables in small: items of all buckets, users of all quartiles and new ones, lists of two models."""
    rng = np.random.default_rng(0)
    metadata = fabricate_metadata(30)
    items = pd.DataFrame({"item_id": metadata.table["item_id"], "n_train": metadata.n_train, "bucket": metadata.bucket})
    items["pseudo_cold"] = "none"
    users = pd.DataFrame({"user_id": [f"u{u}" for u in range(24)], "n_train": 5})
    users["bucket"] = np.resize(["q1", "q2", "q3", "q4"], 24)
    users.loc[20:, ["n_train", "bucket"]] = [0, "new"]
    empty = sparse.csr_matrix((24, 30), dtype=np.float32)
    known = {"train": empty, "order": empty, "side_features": NO_PROFILES}
    truth = sparse.csr_matrix((rng.random((24, 30)) < 0.3).astype(np.float32))
    protocols = {
        "validation": (validation_protocol(items, **known), truth),
        "test": (protocol_of_test(items, validation=empty, cold_unused=empty, **known), truth),
    }
    frames = [
        pd.DataFrame(
            {
                "user_id": [f"u{u}"] * 20,
                "item_id": rng.permutation(items["item_id"])[:20],
                "rank": range(1, 21),
                "model": model,
                "candidates": candidates,
                "split": split,
            }
        )
        for model in ("ours", "theirs")
        for split in protocols
        for candidates in ("warm", "cold", "mixed")
        for u in range(20)
    ]
    return pd.concat(frames, ignore_index=True), protocols, users, metadata


def test_a_metric_of_someone_else_reaches_every_table(registry, catalogue):
    @metric("share_of_rare", per="user", headline=True)
    def share_of_rare(lists: Lists):
        return (lists.metadata.n_train[lists.items] < 5).mean(axis=1)

    @metric("n_lists", per="lists", scope=MIXED_TEST, headline=[Headline("number of lists")])
    class NumberOfLists:
        def __call__(self, lists: Lists) -> float:
            return float(len(lists.items))

    recommendations, protocols, users, metadata = catalogue
    table = measure_known_users([recommendations], protocols, users, metadata, EvaluationOptions())
    rare = table[table["metric"] == "share_of_rare"]
    assert set(rare["candidates"]) == {"warm", "cold", "mixed"}
    assert set(rare["split"]) == {"validation", "test"}
    assert set(rare["k"]) == {10, 20}
    assert set(rare["user_bucket"]) == {"all", "q1", "q2", "q3", "q4"}
    assert set(rare["item_bucket"]) == {"all"}
    counts = table[table["metric"] == "n_lists"]
    assert counts[["split", "candidates", "k", "value"]].drop_duplicates().to_numpy().tolist() == [
        ["test", "mixed", 20, 20.0]
    ]
    summary = summary_table(table, 20)
    mine = recommendations.query("model == 'ours' and split == 'test' and candidates == 'mixed'")
    n_train = mine["item_id"].map(dict(zip(metadata.table["item_id"], metadata.n_train, strict=True)))
    assert summary.set_index("model").loc["ours", "share_of_rare"] == pytest.approx((n_train < 5).mean())
    assert list(summary)[-3:] == ["share_of_rare", "number of lists", "validation warm NDCG"]
    of_test = recommendations.query("split == 'test'")
    values = headline_values([of_test], *protocols["test"], users, metadata, 20)
    compared = compare(values, "ours", 0)
    assert compared["headline"].tolist() == ["warm", "tail", "cold", "mixed", "mixed_cold", "share_of_rare"]
    assert "share_of_rare" in [line["headline"] for line in against_best_baseline(compared, summary)]


def test_only_some_headlines_are_computed_where_asked(catalogue):
    recommendations, protocols, users, metadata = catalogue
    of_test = recommendations.query("split == 'test'")
    values = headline_values([of_test], *protocols["test"], users, metadata, 20, names=("mixed", "tail"))
    assert list(values) == ["tail", "mixed"]
    assert np.isnan(values["mixed"]["ours"][20:]).all()  # new users have no lists here


def test_new_users_are_measured_by_the_metrics_that_say_so(registry, catalogue):
    @metric("n_revealed", per="user", scope=Scope(new_users=True))
    def n_revealed(lists: Lists):
        return np.diff(lists.history.indptr)

    _, _, users, metadata = catalogue
    rows = np.repeat([20, 21], 6)
    warm = np.flatnonzero(metadata.bucket != "cold")[:6]
    places = sparse.csr_matrix((np.tile(np.arange(1.0, 7.0), 2), (rows, np.tile(warm, 2))), shape=(24, 30))
    lists = pd.DataFrame({"user_id": ["u20", "u21"] * 2, "item_id": "i0", "rank": 1, "model": "ours"})
    lists["n_history"] = [1, 1, 3, 3]
    items = pd.DataFrame({"item_id": metadata.table["item_id"], "bucket": metadata.bucket})
    protocol = NewUserProtocol.build(users, items, places, places, NO_PROFILES)
    table = measure_new_users([lists], protocol, users, metadata, EvaluationOptions()).set_index(
        ["metric", "user_bucket"]
    )
    assert table.loc[("n_revealed", "new_1"), "value"].unique().tolist() == [1.0]
    assert table.loc[("n_revealed", "new_3"), "value"].unique().tolist() == [3.0]
    assert set(table.index.get_level_values("metric")) == {
        "ndcg", "recall", "precision", "map", "mrr", "hit_rate", "n_revealed",
    }  # fmt: skip
