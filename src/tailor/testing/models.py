"""What every model has to keep to, whatever it learns from: pytest classes inherit :class:`ModelTests`."""

from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
import pytest
from scipy import sparse

from tailor.data.interactions import empty_rows
from tailor.errors import BadInputError
from tailor.hybrid.cold_items import KernelImputer
from tailor.hybrid.config import ColdItemOptions
from tailor.models.base import (
    AcceptsNewItems,
    Csr,
    Embeds,
    Explains,
    FittedModel,
    Floats,
    ImputesColdItems,
    Model,
    PartialFit,
    Query,
    ScoresTexts,
    TrainSet,
)
from tailor.models.store import load_models, save_models
from tailor.testing.compare import assert_close, reversed_cells, snapshot, wider, wider_query, with_values
from tailor.testing.planted import PlantedBlocks, planted_blocks

#: How often an item of the own block must come before one of the other block; by chance .5.
FOUND = 0.9


def grow(model: FittedModel, features: Floats) -> FittedModel:
    """Return the model with new items; what it returns must take in more."""
    assert isinstance(model, AcceptsNewItems), f"{type(model).__name__} has lost its method 'with_new_items'"
    return model.with_new_items(features)


class ModelTests:
    """Tests of one model on :func:`tailor.testing.planted_blocks`; a subclass writes :meth:`make`.

    Example:
        >>> class TestEASE(ModelTests):
        ...     def make(self, seed=0):
        ...         return EASE(EASEConfig(regularization=20.0), seed)
    """

    #: Whether the list depends on what is known of a user; popularity's does not.
    personal: ClassVar[bool] = True
    #: Whether cold items of the own block come first; None: what the model's class says.
    scores_cold_items: ClassVar[bool | None] = None
    #: Whether the order of a history matters.
    reads_order: ClassVar[bool] = False

    def make(self, seed: int = 0) -> Model[Any]:
        """Return the recipe under test, small enough to be fitted in a second."""
        raise NotImplementedError(f"{type(self).__name__} needs a method make(seed) that returns the model's recipe")

    @pytest.fixture(scope="class")
    @classmethod
    def planted(cls) -> PlantedBlocks:
        """Return the data; override it for a model that needs others."""
        return planted_blocks()

    @pytest.fixture(scope="class")
    @classmethod
    def fitted(cls, planted: PlantedBlocks) -> FittedModel:
        """Return the model, fitted once for all tests that only look at it."""
        return cls().make().fit(deepcopy(planted.data))  # a copy, so that a fit that changes its data is caught

    # --- scores ------------------------------------------------------------------------------------------------------

    def test_scores_have_the_shape_of_the_query(self, fitted: FittedModel, planted: PlantedBlocks) -> None:
        """Float32 (B, n_items), all finite."""
        scores = fitted.score(planted.query())
        assert scores.shape == (len(planted.user_block), planted.data.n_items)
        assert scores.dtype == np.float32
        assert np.isfinite(scores).all()
        assert fitted.n_items == planted.data.n_items

    def test_scores_do_not_depend_on_how_users_come_in_blocks(
        self, fitted: FittedModel, planted: PlantedBlocks
    ) -> None:
        """One by one, seven at a time, or all at once."""
        query = planted.query()
        whole = fitted.score(query)
        for size in (1, 7):
            parts = np.vstack([fitted.score(part) for _, part in query.blocks(size)])
            assert_close(parts, whole, f"{size} at a time")

    def test_scores_do_not_depend_on_how_cells_are_stored(self, fitted: FittedModel, planted: PlantedBlocks) -> None:
        """A sparse row may hold its cells in any order."""
        query = planted.query()
        order = None if query.order is None else reversed_cells(query.order)
        stored = replace(query, history=reversed_cells(query.history), order=order, memo={})
        assert_close(fitted.score(stored), fitted.score(query))

    def test_an_empty_history_gets_finite_scores(self, fitted: FittedModel) -> None:
        """Also where nothing else is known of the user."""
        assert np.isfinite(fitted.score(Query.of(empty_rows(2, fitted.n_items)))).all()

    def test_a_confidence_of_one_is_none(self, fitted: FittedModel, planted: PlantedBlocks) -> None:
        """What is not weighted has weight 1."""
        query = planted.query()
        sure = replace(query, confidence=with_values(query.history, np.ones_like(query.history.data)), memo={})
        assert_close(fitted.score(sure), fitted.score(query))

    def test_a_train_confidence_of_one_is_none(self, fitted: FittedModel, planted: PlantedBlocks) -> None:
        """A fit on interactions of confidence 1 is a fit on interactions."""
        data = deepcopy(planted.data)
        sure = replace(data, confidence=with_values(data.interactions, np.ones_like(data.interactions.data)))
        query = planted.query()
        assert_close(self.make().fit(sure).score(query), fitted.score(query))

    def test_an_order_is_not_a_confidence(self, fitted: FittedModel, planted: PlantedBlocks) -> None:
        """A model that does not read the order scores the same without one."""
        if self.reads_order:
            pytest.skip("reads the order")
        query = planted.query()
        assert query.order is not None
        assert query.order.data.max() > 1
        np.testing.assert_array_equal(fitted.score(replace(query, order=None, memo={})), fitted.score(query))

    def test_another_number_of_items_is_refused(self, fitted: FittedModel) -> None:
        """With both numbers in the sentence."""
        with pytest.raises(BadInputError, match=f"query has 3 items, the model was fitted on {fitted.n_items}"):
            fitted.score(Query.of(empty_rows(1, 3)))

    def test_planted_blocks_are_found(self, fitted: FittedModel, planted: PlantedBlocks) -> None:
        """The unseen items of a user's own block come before the other block's."""
        if not self.personal:
            pytest.skip("the same for everybody")
        users = planted.known_users
        share = planted.share_in_order(fitted.score(planted.query(users)), users, planted.data.warm)
        assert share > FOUND

    def test_cold_items_of_the_own_block_are_found(self, fitted: FittedModel, planted: PlantedBlocks) -> None:
        """Where the model says that it scores them."""
        expected = type(self.make()).scores_cold_items if self.scores_cold_items is None else self.scores_cold_items
        if not (self.personal and expected):
            pytest.skip("does not score cold items")
        users = planted.known_users
        share = planted.share_in_order(fitted.score(planted.query(users)), users, ~planted.data.warm)
        assert share > FOUND

    # --- fits --------------------------------------------------------------------------------------------------------

    def test_a_second_fit_equals_the_first(self, fitted: FittedModel, planted: PlantedBlocks) -> None:
        """By the same recipe, and by another one of the same seed."""
        recipe, expected = self.make(), fitted.score(planted.query())
        for model in (recipe.fit(planted.data), recipe.fit(planted.data)):
            np.testing.assert_array_equal(model.score(planted.query()), expected)

    def test_a_fit_changes_neither_recipe_nor_data(self, planted: PlantedBlocks) -> None:
        """Both are what they were."""
        recipe = self.make()
        before = snapshot(recipe), snapshot(planted.data)
        model = recipe.fit(planted.data)
        assert (snapshot(recipe), snapshot(planted.data)) == before
        assert isinstance(model, FittedModel)
        assert isinstance(model.recipe, type(recipe))

    def test_scoring_changes_neither_query_nor_model(self, fitted: FittedModel, planted: PlantedBlocks) -> None:
        """Both are what they were, and so are the scores."""
        query = planted.query()
        before = snapshot(query), snapshot(fitted.state())
        first = fitted.score(query).copy()
        fitted.score(planted.query(np.arange(3)))
        assert (snapshot(query), snapshot(fitted.state())) == before
        np.testing.assert_array_equal(fitted.score(replace(query, memo={})), first)

    def test_fits_by_one_recipe_leave_each_other_alone(self, planted: PlantedBlocks) -> None:
        """A fit on half of the users, without texts, is that of a fresh recipe, and the earlier one stays."""
        recipe, query, half = self.make(), planted.query(), _half(planted.data)
        first = recipe.fit(planted.data)
        expected = first.score(query)
        second = recipe.fit(half)
        np.testing.assert_array_equal(second.score(query), self.make().fit(half).score(query))
        np.testing.assert_array_equal(first.score(replace(query, memo={})), expected)

    def test_a_fit_without_features_forgets_those_of_an_earlier_fit(self, planted: PlantedBlocks) -> None:
        """Nothing of a text can be left."""
        recipe, plain = self.make(), planted.data.without_features()
        recipe.fit(planted.data)
        forgetful = recipe.fit(plain).score(planted.query())
        np.testing.assert_array_equal(forgetful, self.make().fit(plain).score(planted.query()))

    def test_nothing_leaks_from_one_fit_to_the_next(self, planted: PlantedBlocks) -> None:
        """Fit, take items in, fit, take items in: the second model equals one that was alone in the world."""
        recipe, new = self.make(), _texts_of_new_items(planted)

        def grown(model: FittedModel) -> Floats:
            if not isinstance(model, AcceptsNewItems):
                return model.score(planted.query())
            return model.with_new_items(new).score(wider_query(planted.query(), len(new)))

        grown(recipe.fit(planted.data))
        np.testing.assert_array_equal(grown(recipe.fit(planted.data)), grown(self.make().fit(planted.data)))

    # --- saved -------------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("mapped", [False, True])
    def test_a_saved_model_scores_as_before(
        self, fitted: FittedModel, planted: PlantedBlocks, tmp_path: Path, mapped: bool
    ) -> None:
        """Through a file, read at once or mapped; two of a name's beginning do not mix."""
        save_models(tmp_path / "models.safetensors", {"a": fitted, "ab": fitted})
        loaded = load_models(tmp_path / "models.safetensors", mapped)
        assert sorted(loaded) == ["a", "ab"]
        for model in loaded.values():
            assert type(model) is type(fitted)
            assert_close(model.score(planted.query()), fitted.score(planted.query()))
            assert snapshot(model.recipe.config) == snapshot(fitted.recipe.config)
            assert model.recipe.seed == fitted.recipe.seed

    def test_a_loaded_model_goes_on_like_the_original(
        self, fitted: FittedModel, planted: PlantedBlocks, tmp_path: Path
    ) -> None:
        """It takes items in, is saved with them, and takes in more."""
        if not isinstance(fitted, AcceptsNewItems):
            pytest.skip("takes no items in")
        new, path = _texts_of_new_items(planted), tmp_path / "models.safetensors"
        never_saved: FittedModel = fitted
        saved: FittedModel = fitted
        for n_new, text in enumerate(new, start=1):
            never_saved, grown = grow(never_saved, text[None]), grow(saved, text[None])
            save_models(path, {"model": grown})
            (saved,) = load_models(path, mapped=True).values()
            query = wider_query(planted.query(), n_new)
            assert_close(saved.score(query), never_saved.score(query))

    # --- items that come ---------------------------------------------------------------------------------------------

    def test_new_items_move_no_other_score(self, fitted: FittedModel, planted: PlantedBlocks) -> None:
        """The model itself stays as it is."""
        if not isinstance(fitted, AcceptsNewItems):
            pytest.skip("takes no items in")
        new, query, before = _texts_of_new_items(planted), _unsure(planted.query()), snapshot(fitted.state())
        grown = fitted.with_new_items(new)
        scores = grown.score(wider_query(query, len(new)))
        assert grown.n_items == fitted.n_items + len(new)
        assert_close(scores[:, : fitted.n_items], fitted.score(query))
        assert np.isfinite(scores).all()
        assert scores.dtype == np.float32
        assert snapshot(fitted.state()) == before

    def test_new_items_may_come_one_by_one(self, fitted: FittedModel, planted: PlantedBlocks) -> None:
        """In one call or in three: the scores are the same, also for histories that hold them."""
        if not isinstance(fitted, AcceptsNewItems):
            pytest.skip("takes no items in")
        new, n = _texts_of_new_items(planted), fitted.n_items
        one_by_one: FittedModel = fitted
        for text in new:
            one_by_one = grow(one_by_one, text[None])
        together = fitted.with_new_items(new)
        history = wider(planted.query().history, len(new)).tolil()
        history[:, n:] = 1
        query = replace(wider_query(planted.query(), len(new)), history=history.tocsr(), order=None, memo={})
        assert_close(one_by_one.score(query), together.score(replace(query, memo={})))

    def test_items_without_texts_may_come_where_the_fit_had_none(self, planted: PlantedBlocks) -> None:
        """Their texts are (a, 0)."""
        fitted = self.make().fit(planted.data.without_features())
        if not isinstance(fitted, AcceptsNewItems):
            pytest.skip("takes no items in")
        grown = fitted.with_new_items(np.zeros((1, 0), np.float32)).score(wider_query(planted.query(), 1))
        assert_close(grown[:, :-1], fitted.score(planted.query()))
        assert np.isfinite(grown).all()

    def test_imputing_cold_items_moves_no_warm_item(self, fitted: FittedModel, planted: PlantedBlocks) -> None:
        """An imputed item scores as the mixture of the landmarks that stands in its text."""
        if not isinstance(fitted, ImputesColdItems):
            pytest.skip("imputes no cold items")
        data, query, cold = planted.data, planted.query(), planted.cold
        imputer = KernelImputer.fit(ColdItemOptions(), data.item_features, data.counts)
        plain, before = fitted.score(query), snapshot(fitted.state())
        imputed = fitted.impute_cold_items(cold, data.item_features[cold], imputer).score(replace(query, memo={}))
        np.testing.assert_array_equal(imputed[:, data.warm], plain[:, data.warm])
        expected = imputer.predict(data.item_features[cold], plain[:, imputer.landmarks].T).T
        np.testing.assert_allclose(imputed[:, cold], expected, rtol=1e-3, atol=1e-4 * np.abs(plain).max())
        assert snapshot(fitted.state()) == before

    def test_items_that_joined_are_imputed_like_those_of_the_fit(
        self, fitted: FittedModel, planted: PlantedBlocks
    ) -> None:
        """A new item with the text of a cold one scores as that one does; no other score moves."""
        if not (isinstance(fitted, ImputesColdItems) and isinstance(fitted, AcceptsNewItems)):
            pytest.skip("imputes no cold items")
        data, cold = planted.data, planted.cold[:2]
        texts, n = data.item_features[cold], fitted.n_items
        imputer = KernelImputer.fit(ColdItemOptions(), data.item_features, data.counts)
        joined = np.r_[cold, n : n + len(cold)]
        grown = fitted.with_new_items(texts)
        assert isinstance(grown, ImputesColdItems)
        query = wider_query(planted.query(), len(cold))
        plain = grown.score(query)
        scores = grown.impute_cold_items(joined, np.vstack([texts, texts]), imputer).score(replace(query, memo={}))
        assert_close(scores[:, n:], scores[:, cold])
        others = np.setdiff1d(np.arange(n), cold)
        np.testing.assert_array_equal(scores[:, others], plain[:, others])

    # --- other capabilities ------------------------------------------------------------------------------------------

    def test_a_partial_fit_leaves_the_model_alone(self, fitted: FittedModel, planted: PlantedBlocks) -> None:
        """What comes out knows the catalogue, and still the blocks."""
        if not isinstance(fitted, PartialFit):
            pytest.skip("is always fitted anew")
        query, before = planted.query(), snapshot(fitted.state())
        continued = fitted.partial_fit(planted.data, 1)
        assert snapshot(fitted.state()) == before
        scores = continued.score(query)
        assert scores.shape == fitted.score(replace(query, memo={})).shape
        users = planted.known_users
        share = planted.share_in_order(scores[users], users, planted.data.warm)
        assert share > FOUND

    def test_shares_of_the_history_sum_to_the_score(self, fitted: FittedModel, planted: PlantedBlocks) -> None:
        """With and without confidences, each share under the item that it is of."""
        if not isinstance(fitted, Explains):
            pytest.skip("does not explain")
        items = np.arange(0, fitted.n_items, 3)
        query = planted.query(planted.known_users[:1])
        for one in (query, _unsure(query)):
            shares = fitted.history_shares(one, items)
            assert shares.shape == (len(items), one.history.nnz)
            assert_close(shares.sum(axis=1), fitted.score(one)[0, items])

    def test_shares_toward_and_from_new_items_sum_to_the_score_too(
        self, fitted: FittedModel, planted: PlantedBlocks
    ) -> None:
        """Items that joined after the fit, listed and in the history."""
        if not isinstance(fitted, Explains) or not isinstance(fitted, AcceptsNewItems):
            pytest.skip("does not explain, or takes no items in")
        new = _texts_of_new_items(planted)
        grown, one = grow(fitted, new), wider_query(planted.query(planted.known_users[:1]), len(new))
        taken = one.history.tolil()
        taken[0, grown.n_items - 1] = 1
        for query in (one, Query.of(taken.tocsr())):
            shares = cast(Explains, grown).history_shares(query, np.arange(grown.n_items))
            assert_close(shares.sum(axis=1), grown.score(query)[0])

    def test_users_and_items_lie_in_one_space(self, fitted: FittedModel, planted: PlantedBlocks) -> None:
        """One finite row for each, of one width."""
        if not isinstance(fitted, Embeds):
            pytest.skip("embeds nothing")
        users, items = fitted.user_vectors(planted.query()), fitted.item_vectors
        assert (len(users), len(items)) == (len(planted.user_block), fitted.n_items)
        assert users.shape[1] == items.shape[1]
        assert np.isfinite(users).all()
        assert np.isfinite(items).all()

    def test_a_text_scores_as_an_item_that_has_it(self, fitted: FittedModel, planted: PlantedBlocks) -> None:
        """Before and after the item gets it."""
        if not isinstance(fitted, ScoresTexts):
            pytest.skip("scores no texts")
        query, new, before = planted.query(), _texts_of_new_items(planted), snapshot(fitted.state())
        rows = planted.cold[: len(new)]  # in no history
        changed = fitted.with_item_texts(rows, new).score(query)
        assert_close(changed[:, rows], fitted.score_texts(query, new))
        others = np.setdiff1d(np.arange(fitted.n_items), rows)
        assert_close(changed[:, others], fitted.score(replace(query, memo={}))[:, others])
        assert snapshot(fitted.state()) == before


def _unsure(query: Query) -> Query:
    """Return the query with confidences from .5 to 1.5, all different."""
    confidence = with_values(query.history, np.linspace(0.5, 1.5, query.history.nnz, dtype=np.float32))
    return replace(query, confidence=confidence, memo={})


def _half(data: TrainSet) -> TrainSet:
    """Return the data of every other user alone, without texts."""
    stays = sparse.diags((np.arange(data.interactions.shape[0]) % 4 < 2).astype(np.float32))

    def keep(matrix: Csr) -> Csr:
        remaining = sparse.csr_matrix(stays @ matrix)
        remaining.eliminate_zeros()
        remaining.sort_indices()
        return remaining

    order = None if data.order is None else keep(data.order)
    return replace(data, interactions=keep(data.interactions), order=order).without_features()


def _texts_of_new_items(planted: PlantedBlocks) -> Floats:
    """Return three texts (3, m): one of each block, and one between."""
    e = planted.data.item_features
    new = np.vstack(
        [e[planted.item_block == 0][:3].mean(axis=0), e[planted.item_block == 1][:3].mean(axis=0), e[1] + e[2]]
    )
    return np.asarray(new / np.linalg.norm(new, axis=1, keepdims=True), dtype=np.float32)
