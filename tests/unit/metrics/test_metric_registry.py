"""Every metric passes what is asked of all; one of someone else reaches metrics, summary and comparison."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from tailor.data.item_metadata import ItemMetadata
from tailor.errors import BadInputError, ConfigurationError
from tailor.evaluation.measure import compare, headline_values, measure_known_users, measure_new_users
from tailor.evaluation.plots import summary_table
from tailor.evaluation.protocol import NewUserProtocol, validation_protocol
from tailor.evaluation.protocol import test_protocol as protocol_of_test
from tailor.evaluation.report import verdicts
from tailor.metrics import EVERYWHERE, MIXED_TEST, Headline, Lists, Scope, find_metric, metric, registered_metrics
from tailor.metrics import base as module
from tailor.options import EvaluationOptions
from tailor.testing.metrics import MetricTests, fabricate_lists, fabricate_metadata

#: Metric -> its bounds.
BOUNDS = {
    **dict.fromkeys(("ndcg", "recall", "precision", "map", "mrr", "hit_rate", "propensity_recall"), (0.0, 1.0)),
    **dict.fromkeys(("catalog_coverage", "tail_coverage", "gini", "aplt", "popularity_calibration"), (0.0, 1.0)),
    **dict.fromkeys(("intra_list_diversity", "unexpectedness", "serendipity"), (-1.0, 2.0)),
    "category_diversity": (0.0, 1.0),
    "entropy": (0.0, np.log2(30)),
    "arp": (0.0, 50.0),
    "aclt": (0.0, 8.0),
    "novelty": (-np.log2(51 / 41), np.log2(41)),
    **dict.fromkeys(("poprsp", "popreo"), (0.0, np.sqrt(2))),
    "category_calibration": (0.0, np.log2(1 / 0.01)),
}


class TestEveryMetric(MetricTests):
    @pytest.fixture(autouse=True, params=BOUNDS)
    def _choose(self, request):
        self.metric, (self.low, self.high) = request.param, BOUNDS[request.param]


def test_every_metric_is_tested():
    assert {one.name for one in registered_metrics()} == set(BOUNDS)


@pytest.fixture
def registry(monkeypatch):
    """The registry, which is after the test what it was before."""
    monkeypatch.setattr(module, "_METRICS", dict(module._METRICS))


class Broken(MetricTests):
    """A suite that must fail, for every reason it knows."""

    metric = "broken"
    low, high = 0.0, 1.0


def _sorts_its_input(lists):
    lists.items.sort(axis=1)
    return lists.filled.mean(axis=1)


@pytest.mark.parametrize(
    ("function", "check"),
    [
        (lambda lists: lists.filled.sum(axis=1) + 2.0, "values_are_nan_or_within_the_bounds"),
        (lambda lists: lists.nothing(), "values_are_nan_or_within_the_bounds"),
        (lambda lists: np.arange(len(lists.items)) / 100, "the_order_of_users_does_not_matter"),
        (lambda lists: lists.hits.mean(axis=1) / len(lists.items), "a_users_value_does_not_depend_on_the_others"),
        (lambda lists: np.ones(len(lists.items)), "empty_lists_have_nothing_or_zero"),
        (
            lambda lists: np.random.default_rng().random(len(lists.items)),
            "it_is_deterministic_and_leaves_its_input_alone",
        ),
        (_sorts_its_input, "it_is_deterministic_and_leaves_its_input_alone"),
    ],
)
def test_the_suite_finds_broken_metrics(registry, function, check):
    metric("broken", per="user")(function)
    with pytest.raises(AssertionError):
        getattr(Broken(), f"test_{check}")(0)


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
    truth = sparse.csr_matrix((rng.random((24, 30)) < 0.3).astype(np.float32))
    known = {"train": empty, "order": empty, "side_features": {"profiles": np.zeros((24, 0), np.float32)}}
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
    table = measure_known_users(recommendations, protocols, users, metadata, EvaluationOptions())
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
    values = headline_values(recommendations, *protocols["test"], users, metadata, 20)
    compared = compare(values, "ours", 0)
    assert compared["headline"].tolist() == ["warm", "tail", "cold", "mixed", "mixed_cold", "share_of_rare"]
    assert "share_of_rare" in [line["headline"] for line in verdicts(summary, compared)]


def test_only_some_headlines_are_computed_where_asked(catalogue):
    recommendations, protocols, users, metadata = catalogue
    values = headline_values(recommendations, *protocols["test"], users, metadata, 20, names=("mixed", "tail"))
    assert list(values) == ["tail", "mixed"]
    assert np.isnan(values["mixed"]["ours"][20:]).all()  # new users have no lists here


def test_new_users_are_measured_by_the_metrics_that_say_so(registry, catalogue):
    @metric("n_revealed", per="user", scope=Scope(new_users=True))
    def n_revealed(lists: Lists):
        return np.diff(lists.history.indptr)

    _, _, users, metadata = catalogue
    rows = np.repeat([20, 21], 6)
    warm = np.flatnonzero(metadata.bucket != "cold")[:6]
    order = sparse.csr_matrix((np.tile(np.arange(1.0, 7.0), 2), (rows, np.tile(warm, 2))), shape=(24, 30))
    protocol = NewUserProtocol(np.arange(20, 24), order[20:], np.zeros((4, 0), np.float32))
    lists = pd.DataFrame({"user_id": ["u20", "u21"] * 2, "item_id": "i0", "rank": 1, "model": "ours"})
    lists["n_history"] = [1, 1, 3, 3]
    table = measure_new_users(lists, protocol, users, metadata, EvaluationOptions()).set_index(
        ["metric", "user_bucket"]
    )
    assert table.loc[("n_revealed", "new_1"), "value"].unique().tolist() == [1.0]
    assert table.loc[("n_revealed", "new_3"), "value"].unique().tolist() == [3.0]
    assert set(table.index.get_level_values("metric")) == {
        "ndcg", "recall", "precision", "map", "mrr", "hit_rate", "n_revealed",
    }  # fmt: skip


def test_item_buckets_keep_the_list_and_count_only_their_positives():
    lists = fabricate_lists()
    tail = lists.metadata.tail
    part = lists.of_items(tail)
    assert part.items is lists.items
    assert (part.hits == (lists.hits & (lists.items >= 0) & tail[lists.items])).all()
    assert (part.n_positives == np.asarray(lists.positives[:, tail].sum(axis=1)).ravel()).all()


def test_positives_are_counted_whatever_their_values():
    """A matrix may hold positions in a user's order instead of ones."""
    lists = fabricate_lists()
    positions = Lists.build(lists.items, lists.metadata, positives=lists.positives * 7)
    assert (positions.n_positives == np.diff(lists.positives.indptr)).all()
    recall = find_metric("recall")
    assert recall.values(positions).tolist() == pytest.approx(recall.values(lists).tolist(), nan_ok=True)


def test_names_are_unique_but_a_notebook_may_define_its_metric_again(registry):
    def one(lists):
        return lists.nothing()

    metric("mine", per="user")(one)
    metric("mine", per="user", scope=EVERYWHERE)(one)
    assert find_metric("mine").scope == EVERYWHERE
    with pytest.raises(ConfigurationError, match=r"Metric 'ndcg' exists already \(tailor.metrics.accuracy"):
        metric("ndcg", per="user")(one)


def test_an_unknown_metric_is_refused_with_the_nearest_name():
    with pytest.raises(ConfigurationError, match=r"Metric 'ndgc' does not exist. Did you mean 'ndcg'"):
        find_metric("ndgc")


def test_a_metric_must_return_what_it_said(registry):
    metric("one_number", per="user")(lambda lists: 1.0)
    with pytest.raises(ConfigurationError, match=r"shape \(1,\); with per='user' it must return \(40,\)"):
        find_metric("one_number").values(fabricate_lists())


def test_lists_need_popularity_and_buckets():
    bare = ItemMetadata(fabricate_metadata(3).table)
    with pytest.raises(BadInputError, match="n_train of 0 and bucket of 0 of 3 items: metrics need both"):
        Lists.build(np.array([[0, 1]]), bare)
