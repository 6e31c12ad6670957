"""A registered model that does not know what it should, or a measured one that makes other lists, is found."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from tailor.data.ids import IdMap
from tailor.registry.check import check_knowledge, compare_answers
from tailor.serving.schema import Request, Settings
from tests.unit.serving.conftest import hybrid, recommender_of, weights


@pytest.fixture(scope="module")
def model(tables):
    return recommender_of(tables, hybrid(weights(ials=0.6, popular=0.4)).fit(tables.train_set))


@pytest.fixture
def train(tables):
    rows = tables.interactions
    return rows[rows["split"] == "train"]


@pytest.fixture
def lists(model, tables):
    people = [str(user) for user in tables.users["user_id"][:8]]
    answers = model.recommend([Request(user_id=user) for user in people], Settings(k=5))
    frames = [
        pd.DataFrame({"user_id": user, "item_id": a.item_ids, "score": a.scores, "rank": range(1, 6)})
        for user, a in zip(people, answers, strict=True)
    ]
    return pd.concat(frames, ignore_index=True)


def compare(model, lists, tables):
    nothing = sparse.csr_matrix((len(tables.users), len(tables.items)))
    return compare_answers(model.recommend, lists, tables.users["user_id"], tables.items["item_id"], nothing)


def test_the_same_lists_pass(model, lists, tables):
    assert compare(model, lists, tables) == {
        "users": 8,
        "places": 40,
        "equal_places": 40,
        "largest_score_difference": pytest.approx(0, abs=1e-5),
    }


def test_what_the_run_alone_left_out_is_left_out(model, lists, tables):
    """The first place of each list was not listed in the run."""
    rows = IdMap(tables.users["user_id"]).indices(lists["user_id"])
    columns = IdMap(tables.items["item_id"]).indices(lists["item_id"])
    first = (lists["rank"] == 1).to_numpy()
    hidden = (np.ones(first.sum()), (rows[first], columns[first]))
    left_out = sparse.csr_matrix(hidden, shape=(len(tables.users), len(tables.items)))
    of_run = lists[~first].assign(rank=lambda table: table["rank"] - 1)
    found = compare_answers(model.recommend, of_run, tables.users["user_id"], tables.items["item_id"], left_out)
    assert found["equal_places"] == found["places"] == 32


def test_other_scores_or_places_do_not(model, lists, tables):
    with pytest.raises(RuntimeError, match=r"the evaluated model differs from the run: 40/40 places, scores by 0.5"):
        compare(model, lists.assign(score=lists["score"] + 0.5), tables)
    with pytest.raises(RuntimeError, match=r"differs from the run: 3./40 places"):
        swapped = lists.assign(item_id=[*lists["item_id"][1::-1], *lists["item_id"][2:]])
        compare(model, swapped, tables)


def test_a_model_that_knows_what_it_was_fitted_on(model, train):
    counts = check_knowledge(model, train)
    assert counts == dict.fromkeys(
        ("interacted_items_cold", "users_unknown", "taken_items_listed", "unexplained_scores"), 0
    )


def test_a_model_that_knows_less_does_not(model, tables):
    """Of all interactions the train rows alone are known: held-out items are cold, new users unknown."""
    cold = tables.interactions.loc[tables.interactions["split"].isin(["cold", "cold_unused"]), "item_id"]
    with pytest.raises(RuntimeError, match=rf"interacted_items_cold: {cold.nunique()}, .*taken_items_listed: \d+"):
        check_knowledge(model, tables.interactions)
    new = tables.interactions.loc[tables.interactions["split"] == "new_user", "user_id"].nunique()
    with pytest.raises(RuntimeError, match=rf"users_unknown: {new}"):
        check_knowledge(model, tables.interactions)


def test_items_that_were_taken_elsewhere_are_told(model, train, lists):
    extra = lists[lists["rank"] == 1][["user_id", "item_id"]]
    with pytest.raises(RuntimeError, match=r"taken_items_listed: [1-8]"):
        check_knowledge(model, pd.concat([train, extra]), n_users=240)


def test_explanations_that_do_not_add_up_are_told(model, train, monkeypatch):
    honest = type(model).recommend

    def dishonest(self, requests, settings):
        return [replace_scores(answer) for answer in honest(self, requests, settings)]

    def replace_scores(answer):
        return answer.model_copy(update={"scores": [score + 1 for score in answer.scores]})

    monkeypatch.setattr(type(model), "recommend", dishonest)
    with pytest.raises(RuntimeError, match="unexplained_scores: "):
        check_knowledge(replace(model), train, n_users=3)
