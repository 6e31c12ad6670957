"""What every source of the hybrid has to keep to: that it reads what its entry says, and nothing else."""

import re
from dataclasses import replace
from typing import Any, ClassVar, get_args

import numpy as np
import pytest
from numpy.typing import NDArray

from tailor.data.interactions import keep_users
from tailor.hybrid.cold_items import KernelImputer
from tailor.hybrid.config import ColdItemOptions
from tailor.hybrid.sources import SOURCES, Reads, Source
from tailor.models.base import Csr, Derives, FittedModel, Floats, ImputesColdItems, Model, Query, TrainSet
from tailor.models.registry import model_class
from tailor.testing.compare import with_values
from tailor.testing.planted import PlantedBlocks, planted_blocks
from tailor.types import Parameters


class SourceTests:
    """Tests of one source on :func:`tailor.testing.planted_blocks`; a subclass names it.

    Example:
        >>> class TestNewestSource(SourceTests):
        ...     source = "newest"
        ...     options = {"half_life": 30.0}
    """

    #: Name of the source in :data:`tailor.hybrid.sources.SOURCES`.
    source: ClassVar[str]
    #: Options under which it reads all that its entry says.
    options: ClassVar[Parameters] = {}
    #: Options of the source that it is derived from.
    base_options: ClassVar[Parameters] = {}

    @pytest.fixture(scope="class")
    @classmethod
    def planted(cls) -> PlantedBlocks:
        """Return the data."""
        return planted_blocks()

    @pytest.fixture(scope="class")
    @classmethod
    def fitted(cls, planted: PlantedBlocks) -> FittedModel:
        """Return the source, fitted once for all tests that only look at it."""
        return cls._fit(planted.data)

    @classmethod
    def _entry(cls) -> Source:
        return SOURCES[cls.source]

    @classmethod
    def _recipe(cls, name: str, options: Parameters) -> Model[Any]:
        model = SOURCES[name].model
        return model(model.config_class.model_validate(options), 0)

    @classmethod
    def _fit(cls, data: TrainSet) -> FittedModel:
        """Fit the source as the hybrid does: on the data, or from the source that it is derived from."""
        recipe, base = cls._recipe(cls.source, cls.options), cls._entry().derived_from
        if base is None:
            return recipe.fit(data)
        assert isinstance(recipe, Derives), f"{cls.source} is derived from {base}, but has no method 'derive'"
        imputer = KernelImputer.fit(ColdItemOptions(), data.item_features, data.counts)
        return recipe.derive(cls._recipe(base, cls.base_options).fit(data), imputer)

    def test_the_entry_is_consistent(self, fitted: FittedModel) -> None:
        """It has words for people, reads something that exists, and its model can be loaded by name."""
        entry = self._entry()
        assert entry.name == self.source
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", entry.reason), "a reason is words joined by _, as answers show it"
        assert entry.label.strip() == entry.label != ""
        assert entry.reads
        assert entry.reads <= set(get_args(Reads))
        assert entry.derived_from is None or entry.derived_from in set(SOURCES) - {self.source}
        assert model_class(entry.model.name) is entry.model
        assert isinstance(fitted.recipe, entry.model)

    def test_text_dependent_is_said_where_it_is_so(self, fitted: FittedModel) -> None:
        """Where the model reads texts, or imputes cold items by them."""
        entry = self._entry()
        assert entry.text_dependent == ("texts" in entry.reads or isinstance(fitted, ImputesColdItems))

    @pytest.mark.parametrize("evidence", ["history", "order", "confidence", "profile", "context", "user_text"])
    def test_scores_follow_what_it_reads_of_a_query_alone(
        self, fitted: FittedModel, planted: PlantedBlocks, evidence: Reads
    ) -> None:
        """Other evidence that it reads changes scores, other evidence that it does not read changes none."""
        query = planted.query(planted.known_users)
        scores = fitted.score(query)
        changed = fitted.score(other_evidence(query, evidence))
        if evidence in self._entry().reads:
            assert _moved(changed, scores), f"{self.source} says that it reads {evidence}, but no score changes with it"
        elif evidence != "history" or not {"order", "confidence"} & self._entry().reads:
            np.testing.assert_array_equal(changed, scores, f"{self.source} reads {evidence}, and does not say so")

    def test_who_asks_does_not_matter(self, fitted: FittedModel, planted: PlantedBlocks) -> None:
        """A user of the table and somebody unknown with the same evidence get the same scores."""
        query = planted.query()
        unknown = replace(query, user_index=np.full(len(query), -1, np.int64), memo={})
        np.testing.assert_array_equal(fitted.score(unknown), fitted.score(query))

    def test_a_fit_follows_texts_only_where_it_reads_them(self, fitted: FittedModel, planted: PlantedBlocks) -> None:
        """Fitted on the texts of other items."""
        data = planted.data
        scores = self._fit(data.with_features(np.roll(data.item_features, 1, axis=0))).score(planted.query())
        if "texts" in self._entry().reads:
            assert _moved(scores, fitted.score(planted.query())), f"{self.source} says that it reads texts"
        else:
            np.testing.assert_array_equal(scores, fitted.score(planted.query()))

    def test_popularity_is_what_it_was_fitted_on(self, fitted: FittedModel, planted: PlantedBlocks) -> None:
        """Fitted on a quarter of the users, other items are popular."""
        if "popularity" not in self._entry().reads:
            pytest.skip("does not read popularity")
        data, users = planted.data, np.arange(0, len(planted.user_block), 4)
        order = None if data.order is None else keep_users(data.order, users)
        some = replace(data, interactions=keep_users(data.interactions, users), order=order)
        assert _moved(self._fit(some).score(planted.query()), fitted.score(planted.query()))


def other_evidence(query: Query, evidence: str) -> Query:
    """Return the query with one kind of evidence changed: that of the next user, or a shuffled order.

    Where histories change, order and confidence have to change with them: the order is left as it comes, the
    confidence is 1.
    """
    if evidence == "history":
        history = _next_rows(query.history)
        order = None if query.order is None else _next_rows(query.order)
        return replace(query, history=history, order=order, confidence=None, memo={})
    if evidence == "order":
        assert query.order is not None, "the planted query knows an order"
        return replace(query, order=with_values(query.order, _from_last_to_first(query.order)), memo={})
    if evidence == "confidence":
        return replace(query, confidence=with_values(query.history, _alternating(query.history.nnz)), memo={})
    changed: dict[str, Floats] = {evidence: -getattr(query, evidence)}
    return replace(query, **changed, memo={})  # type: ignore[arg-type]


def _moved(scores: Floats, before: Floats) -> bool:
    return not np.allclose(scores, before, rtol=1e-3, atol=1e-6)


def _next_rows(matrix: Csr) -> Csr:
    return matrix[np.roll(np.arange(matrix.shape[0]), 1)]


def _from_last_to_first(order: Csr) -> NDArray[np.float32]:
    lengths = np.diff(order.indptr)
    return np.asarray(np.repeat(lengths, lengths) + 1 - order.data, dtype=np.float32)


def _alternating(n: int) -> NDArray[np.float32]:
    return np.where(np.arange(n) % 2 == 0, 0.25, 2.0).astype(np.float32)
