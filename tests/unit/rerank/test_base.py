"""Every re-ranker passes what is asked of all; pools, names, and what is refused."""

import re
from pathlib import Path

import numpy as np
import pytest

from tailor.config import parse
from tailor.errors import BadInputError, ConfigurationError
from tailor.evaluation.trade_off import FrontierOptions
from tailor.rerank import Reranker, RerankOptions, registered_rerankers, rerank, reranker
from tailor.rerank import base as module
from tailor.rerank.base import relevance
from tailor.testing.rerankers import RerankerTests
from tests.unit.rerank.worlds import world


def test_every_re_ranker_is_tested():
    """A module of tests stands beside this one for each, with a suite of its own."""
    modules = [path.read_text() for path in Path(__file__).parent.glob("test_*.py")]
    tested = {name for text in modules for name in re.findall(r'\(RerankerTests\):\n    method = "(\w+)"', text)}
    assert tested - {"broken"} == set(registered_rerankers())


@pytest.mark.parametrize("method", registered_rerankers())
def test_a_pool_must_be_as_long_as_the_list(method):
    pool, scores, history, metadata = world()
    with pytest.raises(BadInputError, match="k = 13 of a pool of 12; make the pool larger"):
        rerank(pool, scores, history, metadata, RerankOptions(method=method, strength=0.5), 13)


@pytest.fixture
def registry(monkeypatch):
    """The registry, as it was after the test."""
    monkeypatch.setattr(module, "_RERANKERS", dict(module._RERANKERS))


def test_a_re_ranker_of_someone_else_can_be_named_in_options_and_run(registry):
    @reranker("worst_first", summary="Turn the pool around.")
    class WorstFirst(Reranker):
        def gain(self, step):  # noqa: ARG002
            return -self.pool.relevance

    pool, scores, history, metadata = world()
    items, _ = rerank(pool, scores, history, metadata, RerankOptions(method="worst_first", strength=0.5), 3)
    assert items.tolist() == pool[:, ::-1][:, :3].tolist()
    assert parse(FrontierOptions, {"methods": ["worst_first"]}, "evaluation.frontier").methods == ["worst_first"]
    assert registered_rerankers()["worst_first"] == "Turn the pool around."


class Broken(RerankerTests):
    """A suite that must fail."""

    method = "broken"


def _at_random(method):
    return np.random.default_rng().random(method.pool.items.shape)


def _only_the_best(method):
    return np.where(method.pool.relevance > 0.5, 1.0, -np.inf)


@pytest.mark.parametrize(
    ("gain", "check"),
    [
        (lambda m: -m.pool.relevance, "a_tiny_strength_changes_nothing_that_scores_tell_apart"),
        (_at_random, "it_is_deterministic_and_leaves_its_input_alone"),
        (_only_the_best, "lists_hold_items_of_the_pool_once_with_their_scores"),
    ],
)
def test_the_suite_finds_broken_re_rankers(registry, gain, check):
    made = type("Made", (Reranker,), {"gain": lambda self, step: gain(self)})
    reranker("broken", summary="Broken.")(made)
    arguments = (0, 0.3) if "once" in check else (0,)
    with pytest.raises(AssertionError):
        getattr(Broken(), f"test_{check}")(*arguments)


def test_the_suite_finds_re_rankers_that_look_at_other_users(registry, monkeypatch):
    class Crowd(Reranker):
        def gain(self, step):  # noqa: ARG002
            return self.pool.relevance * (1 if len(self.rows) > 2 else -1)

    reranker("broken", summary="Broken.")(Crowd)
    with pytest.raises(AssertionError):
        Broken().test_neither_blocks_nor_the_order_of_users_matter(0, monkeypatch)


def test_names_of_re_rankers_are_unique(registry):
    with pytest.raises(ConfigurationError, match="Re-ranker 'mmr' exists already"):

        @reranker("mmr", summary="Another.")
        class Other(Reranker):
            def gain(self, step):  # noqa: ARG002
                return self.pool.relevance


def test_an_unknown_method_is_refused_with_the_nearest_name():
    with pytest.raises(ConfigurationError, match=r"'mrm' does not exist. Did you mean 'mmr'\? Known: none, mmr, dpp"):
        parse(RerankOptions, {"method": "mrm"}, "rerank")
    with pytest.raises(ConfigurationError, match=r"frontier.methods.1.*'cap' does not exist. Did you mean 'caps'"):
        parse(FrontierOptions, {"methods": ["mmr", "cap"]}, "evaluation.frontier")


def test_threshold_mode_lists_what_is_good_enough():
    pool, scores, history, metadata = world()
    limit = float(np.median(scores))
    items, values = rerank(pool, scores, history, metadata, RerankOptions(min_score=limit), 12)
    assert ((items >= 0) == (scores >= limit)).all()
    assert (values[items >= 0] >= limit).all()


def test_relevance_is_scaled_per_user():
    found = relevance(np.array([[3.0, 2.0, -np.inf], [1.0, 1.0, 1.0]], np.float32))
    assert found.tolist() == [[1.0, 0.0, 0.0], [1.0, 1.0, 1.0]]
