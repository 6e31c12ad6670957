"""What is handed over knows every interaction: nobody is new, and only what nobody has taken is cold."""

import numpy as np
import pytest
from scipy import sparse

from tailor import columns as c
from tailor.data.config import DataProcessingOptions, SideFeatureOptions, SplitOptions
from tailor.data.side_features import FeatureEncoder
from tailor.hybrid.refit import gather_all, refit

HEAD_SHARE = 0.8
OPTIONS = DataProcessingOptions(head_share=HEAD_SHARE)


@pytest.fixture(scope="module")
def encoders(tables):
    profile = FeatureEncoder.fit(tables.users, SideFeatureOptions(columns=["age"], bins=3), [], "profile")
    return {"profile": profile.state(), "context": {"columns": []}}


@pytest.fixture(scope="module")
def everything(tables, encoders):
    return gather_all(tables.interactions, tables.users, tables.items, encoders, OPTIONS, 0)


def test_every_interaction_is_learnt_from(tables, everything):
    expected = sum(tables.matrices.values(), sparse.csr_matrix(everything.interactions.shape))
    assert (everything.interactions != expected).nnz == 0
    assert everything.interactions.nnz == len(tables.interactions)
    assert everything.profiles.shape == (len(tables.users), 3)


def test_only_what_nobody_has_taken_is_cold(tables, everything):
    taken = tables.items["item_id"].isin(tables.interactions["item_id"])
    assert everything.warm.tolist() == taken.tolist()
    assert everything.warm.sum() > tables.warm.sum()


def test_the_tail_is_that_of_all_interactions(everything):
    """The head holds its share of all interactions, and no fewer items would."""
    counts = everything.counts
    head = everything.warm & ~everything.tail
    assert counts[head].sum() >= HEAD_SHARE * counts.sum()
    assert counts[head].sum() - counts[head].min() < HEAD_SHARE * counts.sum()
    assert counts[head].min() >= counts[everything.tail].max()


def test_everybody_s_order_goes_through_all_windows(tables, everything):
    user = everything.interactions.getnnz(axis=1).argmax()
    places = np.sort(everything.order[[user]].data)
    np.testing.assert_array_equal(places, np.arange(1, len(places) + 1))
    rows = tables.interactions[tables.interactions["user_id"] == tables.users["user_id"][user]]
    latest = rows.sort_values(c.TIMESTAMP)["item_id"].iloc[-1]
    assert everything.order[[user]].toarray().argmax() == tables.items["item_id"].tolist().index(latest)


def test_a_catalogue_without_order(tables, encoders):
    """Neither times that are all equal nor a random split tell one, here as for the models that were measured."""
    rows, random = tables.interactions, DataProcessingOptions(split=SplitOptions(strategy="random"))
    for interactions, options in (
        (rows.drop(columns=c.TIMESTAMP), OPTIONS),
        (rows, random),
        (rows.assign(timestamp=1.0), OPTIONS),
    ):
        assert gather_all(interactions, tables.users, tables.items, encoders, options, 0).order is None


def test_the_recipe_stays(blended, everything):
    fitted = refit(blended, everything)
    scales = dict.fromkeys(("cold_boost", "tail_boost", "cold_boost_scale", "tail_boost_scale"))
    assert fitted.boosts.model_dump() | scales == blended.boosts.model_dump() | scales
    for boost in ("cold_boost", "tail_boost"):  # the operating point adds what it added
        added = [getattr(model.boosts, boost) * getattr(model.boosts, f"{boost}_scale") for model in (fitted, blended)]
        assert added[0] == pytest.approx(added[1], abs=1e-4)
    assert fitted.recipe.config.model_copy(update={"boosts": blended.boosts}) == blended.recipe.config
    for name, weights in blended.blend.state().items():
        np.testing.assert_array_equal(fitted.blend.state()[name], weights)
    np.testing.assert_array_equal(fitted.item_features, blended.item_features)
    assert fitted.warm.sum() > blended.warm.sum()
    again = refit(blended, everything).score(everything.queries().take(np.arange(5)))
    np.testing.assert_array_equal(fitted.score(everything.queries().take(np.arange(5))), again)
