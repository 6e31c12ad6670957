"""Every registered metric passes what is asked of all; names, lists and what is refused."""

import numpy as np
import pytest

from tailor.data.item_metadata import ItemMetadata
from tailor.errors import BadInputError, ConfigurationError
from tailor.metrics import EVERYWHERE, Lists, find_metric, metric, registered_metrics
from tailor.metrics import base as module
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
