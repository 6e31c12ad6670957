"""A champion without some people: what is fitted anew is what a fit without them gives, to the list."""

from dataclasses import replace
from types import SimpleNamespace

import mlflow
import numpy as np
import pytest

from tailor.data.buckets import tail_items
from tailor.data.ids import IdMap
from tailor.data.people import SuppressionList
from tailor.errors import BadInputError
from tailor.models.base import TrainSet
from tailor.models.popular import Popular
from tailor.registry import forget as registry
from tailor.registry import versions
from tailor.registry.forget import refitted
from tailor.serving.people import without_suppressed
from tailor.serving.schema import Request, Settings
from tests.unit.serving.conftest import hybrid, recommender_of, weights

KEY = b"k" * 32


def fit_on(tables, users):
    """Fit the recipe on all train rows of some users, as registration fits it on all rows."""
    interactions = tables.train_set.interactions[users]
    counts = np.bincount(interactions.indices, minlength=interactions.shape[1]).astype(np.int64)
    data = TrainSet.of(
        interactions,
        counts > 0,
        order=tables.train_set.order[users],
        tail=tail_items(counts, tables.items[["item_id"]], 0.8, 0),
        item_features=tables.features,
    )
    from tailor.hybrid.refit import refit

    recipe = hybrid(weights(ials=0.5, ease=0.2, slit=0.2, text_knn=0.1)).fit(data)
    ids = IdMap(tables.users["user_id"].iloc[users])
    model = refit(recipe, data)
    return recommender_of(
        tables, model, users=ids, histories=data.queries(), about={"seed": 0, "head_share": 0.8, "fit_on": "all"}
    )


@pytest.fixture(scope="module")
def everybody(tables):
    return fit_on(tables, np.arange(len(tables.users)))


def lists(recommender, users):
    return recommender.recommend([Request(str(user)) for user in users], Settings(k=20))


def test_lists_equal_those_of_a_fit_without_the_person(tables, everybody):
    """The one who took most: a fit with the person gives others other lists, the refit without gives them the same."""
    row = int(np.diff(tables.train_set.interactions.indptr).argmax())
    gone = str(tables.users["user_id"].iloc[row])
    rest = np.delete(np.arange(len(tables.users)), row)
    never = fit_on(tables, rest)
    forgotten = without_suppressed(everybody, SuppressionList.of([gone], KEY)).recommender
    others = tables.users["user_id"].iloc[rest]
    ours, theirs = lists(refitted(forgotten), others), lists(never, others)
    assert [a.item_ids for a in ours] == [a.item_ids for a in theirs]
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a.scores, b.scores)
    left = lists(forgotten, others)
    assert [a.scores for a in left] == [a.scores for a in lists(everybody, others)]
    assert [a.scores for a in left] != [a.scores for a in theirs]  # what was fitted with the person says so still


def test_an_item_that_only_the_person_took_is_cold_afterwards(tables, everybody):
    item = int(everybody.histories.history.indices[0])
    taken_by = everybody.histories.history[:, [item]].toarray().ravel() > 0
    ids = [str(one) for one in everybody.user_ids[taken_by]]
    forgotten = without_suppressed(everybody, SuppressionList.of(ids, KEY)).recommender
    assert everybody.model.warm[item]
    assert not refitted(forgotten).model.warm[item]


def test_what_a_package_does_not_hold_cannot_be_fitted_from_it(tables, everybody):
    popular = recommender_of(tables, Popular().fit(tables.train_set))
    with pytest.raises(BadInputError, match=r"the model 'popular' is not fitted from a package.*run `kedro run`"):
        refitted(popular)
    texts = np.ones((len(everybody.histories), 3), np.float32)
    wrote = replace(everybody, histories=replace(everybody.histories, user_text=texts))
    with pytest.raises(BadInputError, match="was also fitted on texts of users, which its package does not hold"):
        refitted(wrote)


@pytest.mark.parametrize("moves", ["before", "while it is logged"])
def test_a_champion_that_came_meanwhile_is_not_undone(everybody, experiment, tmp_path, monkeypatch, moves):
    client, name, ids = mlflow.MlflowClient(), f"shop-{experiment}", {"1": "m-1", "2": "m-2", "3": "m-3"}
    client.create_registered_model(name)

    def add(champion):
        number = client.create_model_version(name, str(tmp_path)).version
        if champion:
            client.set_registered_model_alias(name, "champion", number)
        return SimpleNamespace(registered_model_version=number)

    def logged(*_):
        made = add(champion=False)
        if moves == "while it is logged":
            add(champion=True)
        return made

    deleted = []
    monkeypatch.setattr(registry, "log_package", logged)
    monkeypatch.setattr(registry, "delete_version", lambda *version: deleted.append(version))
    monkeypatch.setattr(versions, "logged_model_id", lambda _, number: ids[str(number)])
    add(champion=True)
    if moves == "before":
        add(champion=True)
    person = SuppressionList.of([str(everybody.user_ids[0])], KEY)
    forgotten = replace(without_suppressed(everybody, person), model_id="m-1")
    came = "2" if moves == "before" else "3"
    with pytest.raises(BadInputError, match=rf"^Version {came} of '{name}' became the champion while .* again\.$"):
        registry.register_forgotten(forgotten, False, name)
    assert str(client.get_model_version_by_alias(name, "champion").version) == came
    assert deleted == ([] if moves == "before" else [(name, "2")])


def test_the_champion_that_was_loaded_is_replaced(everybody, experiment, tmp_path, monkeypatch):
    client, name = mlflow.MlflowClient(), f"shop-{experiment}"
    client.create_registered_model(name)
    client.set_registered_model_alias(name, "champion", client.create_model_version(name, str(tmp_path)).version)

    def logged(*_):
        return SimpleNamespace(registered_model_version=client.create_model_version(name, str(tmp_path)).version)

    monkeypatch.setattr(registry, "log_package", logged)
    monkeypatch.setattr(versions, "logged_model_id", lambda _, number: f"m-{number}")
    person = SuppressionList.of([str(everybody.user_ids[0])], KEY)
    outcome = registry.register_forgotten(replace(without_suppressed(everybody, person), model_id="m-1"), False, name)
    assert (outcome["version"], outcome["new"], outcome["users"]) == ("2", True, 1)
    assert str(client.get_model_version_by_alias(name, "champion").version) == "2"
