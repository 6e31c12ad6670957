"""What the tests of the hybrid share: a validation side, fitted sources, and training sets with planted truth."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from scipy import sparse

from tailor.hybrid.blend import BlendModel, BlendWeights, MetaFeatures
from tailor.hybrid.config import BlendOptions, Boosts, HybridConfig
from tailor.hybrid.holdout import Holdout
from tailor.hybrid.model import Hybrid
from tailor.hybrid.operating_point import known_users
from tailor.hybrid.scorer import HybridScorer
from tailor.hybrid.sources import SOURCES
from tailor.hybrid.training_set import BlendTrainingSet
from tailor.models.base import Query
from tests.conftest import Tables, by_source

OFF = Boosts()
#: Every source, quick to fit on the planted catalogue.
FAST_SOURCES = {name: {} for name in SOURCES} | {
    "ials": {"factors": 8, "iterations": 5, "lambda_item_feature": 1.0},
    "ease": {"regularization": 20.0, "text_pull": 20.0},
    "slit": {"regularization": 20.0, "half_life": 20.0},
    "transformer": {"width": 8, "epochs": 3},
    "sasrec": {"width": 8, "epochs": 3},
}
#: A blend in which every kind of weight is at work.
BLEND = BlendWeights(
    tuple(SOURCES),
    BlendModel(
        by_source(ials=0.5, ease=0.25, slit=0.1, popular=0.15), by_source(ials=0.1), by_source(ease=0.1), bias=0.1
    ),
    ((1, by_source(text_knn=0.5, popular=0.5)),),
    by_source(ials=0.5, ease=0.3, text_factors=0.2),
    cold_shift=0.5,
)


def recipe(boosts: Boosts = OFF, blend: BlendWeights | None = None, **sources: dict | None) -> Hybrid:
    """The hybrid of FAST_SOURCES, with other options of some of them; None leaves one out."""
    chosen = {name: options for name, options in (FAST_SOURCES | sources).items() if options is not None}
    return Hybrid(HybridConfig(sources=chosen, boosts=boosts), 0, blend)


@contextmanager
def source_forgotten(name: str) -> Iterator[None]:
    """For a while there is no such source; the order of the others and its own place come back."""
    every = dict(SOURCES)
    del SOURCES[name]
    try:
        yield
    finally:
        SOURCES.clear()
        SOURCES.update(every)


def of_one_source(name: str, **changes: object) -> BlendWeights:
    """Weights of one source alone, with some fields changed."""
    weights = BlendWeights.of_one(name, tuple(SOURCES))
    return BlendWeights(**(vars(weights) | changes))


def meta_features(lengths: list[int], n_items: int) -> MetaFeatures:
    """Of users with histories of these lengths; items are all of mean popularity."""
    return MetaFeatures(np.log1p(np.array(lengths, np.float32)), np.zeros(n_items, np.float32))


def planted_training_set(
    rule: Callable[[np.ndarray, MetaFeatures], np.ndarray], n_users: int = 3000, n_items: int = 60, seed: int = 0
) -> BlendTrainingSet:
    """One positive per user, drawn by a softmax over ``rule(z, meta)``."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(len(SOURCES), n_users, n_items)).astype(np.float32)
    popularity = np.linspace(-1.5, 1.5, n_items).astype(np.float32)
    activity = rng.normal(size=n_users).astype(np.float32)
    users, items = rng.normal(size=(n_users, 3)), rng.normal(size=(n_items, 3))
    meta = MetaFeatures(activity, popularity, users.astype(np.float32), items.astype(np.float32))
    scores = rule(z, meta)
    gumbel = -np.log(-np.log(rng.random((n_users, n_items))))
    cells = (np.arange(n_users), (scores + gumbel).argmax(axis=1))
    positives = sparse.csr_matrix((np.ones(n_users, np.float32), cells), shape=scores.shape)
    return BlendTrainingSet(tuple(SOURCES), z, np.ones(scores.shape, bool), positives, meta, np.arange(n_items))


@pytest.fixture(scope="session")
def holdout(tables: Tables) -> Holdout:
    """The validation side; models are told an order."""
    return Holdout.build(
        tables.matrices["train"],
        tables.matrices["validation"],
        tables.items,
        0,
        order=tables.order,
        reveal_order=tables.reveal_order,
    )


@pytest.fixture(scope="session")
def scorer(holdout: Holdout, tables: Tables) -> HybridScorer:
    """Sources that were fitted without pseudo-cold B and without the few-shot users; boosts at 0."""
    return recipe(blend=of_one_source("ials")).fit(holdout.train_set(tables.features))


@pytest.fixture(scope="session")
def known(scorer: HybridScorer, holdout: Holdout) -> BlendTrainingSet:
    """The validation users, with vectors."""
    return known_users(scorer, holdout, BlendOptions(models=["deep"]), 0)


@pytest.fixture(scope="session")
def blended(tables: Tables) -> HybridScorer:
    """The hybrid of a whole run's train set, under BLEND."""
    return recipe(blend=BLEND).fit(tables.train_set)


@pytest.fixture(scope="session")
def queries(tables: Tables) -> Query:
    """The train users."""
    return tables.train_set.queries()


def nobody(n_items: int, n_users: int = 1) -> Query:
    """Users without history."""
    return Query.of(sparse.csr_matrix((n_users, n_items), dtype=np.float32))
