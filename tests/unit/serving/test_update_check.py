"""What an update is worth on rows that it has not seen, and what it forgets; random rows are refused by name."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tailor.evaluation.config import DriftLimits
from tailor.evaluation.update_rules import decide, failed
from tailor.models.base import Query
from tailor.models.popular import FittedPopular
from tailor.serving import update_check
from tailor.serving.update import drift, with_interactions
from tailor.serving.update_check import check_update, hold_out
from tests.unit.serving.conftest import hybrid, recommender_of
from tests.unit.serving.test_update import BLEND, OPTIONS


@pytest.fixture(scope="module")
def before(tables):
    return recommender_of(tables, hybrid(BLEND, OPTIONS).fit(tables.train_set), about={"fit_on": "train", "seed": 0})


@pytest.fixture(scope="module")
def honest(tables):
    """The validation rows of every second user of each cluster: the others have no new rows."""
    rows = tables.interactions.query("split == 'validation'")[["user_id", "item_id", "timestamp"]]
    return rows[rows["user_id"].str[1:].astype(int) // 4 % 2 == 0]


def decided(model, rows):
    table = drift(model, with_interactions(model, rows, 1), rows, 1000, 20, 0)
    return decide(table, check_update(model, rows, 1, 1000, 20, 0.2, 0), DriftLimits())


def random_rows(model, n=393):
    rng = np.random.default_rng(0)
    pairs = {"user_id": rng.choice(model.user_ids, n), "item_id": rng.choice(model.item_ids, n)}
    return pd.DataFrame(pairs | {"timestamp": 2e9 + np.arange(n)}).drop_duplicates(["user_id", "item_id"])


def test_random_rows_are_refused_and_popularity_is_named(before):
    decision = decided(before, random_rows(before))
    assert not decision.promoted
    assert any(reason.startswith("fails: popularity: PSI") for reason in failed(decision.reasons))


def test_honest_rows_pass(before, honest):
    decision = decided(before, honest)
    assert decision.promoted, decision.reasons


def test_the_last_rows_of_users_are_held_out():
    rows = pd.DataFrame({"user_id": ["a"] * 10 + ["b"] * 5, "item_id": range(15), "timestamp": [*range(10), *range(5)]})
    known, held = hold_out(rows.sample(frac=1, random_state=0), 0.2, 0)
    assert len(known) + len(held) == 15
    # 10 x .2 = 2 rows and 5 x .2 = 1 row: whole numbers leave nothing to the draw.
    assert sorted(held["item_id"]) == [8, 9, 14]
    assert hold_out(rows, 0.0, 0)[1].empty


def test_users_with_one_row_take_part_by_chance():
    rows = pd.DataFrame({"user_id": np.arange(2000).astype(str), "item_id": "i1"})
    held = hold_out(rows, 0.2, 0)[1]
    assert len(held) == pytest.approx(400, abs=4 * np.sqrt(2000 * 0.2 * 0.8))
    assert held.equals(hold_out(rows, 0.2, 0)[1])
    assert not held.equals(hold_out(rows, 0.2, 1)[1])


def test_what_is_held_out_is_known_to_neither_model(before, honest, monkeypatch):
    seen = []

    def spy(recommender, rows, sweeps):
        seen.append(rows)
        return with_interactions(recommender, rows, sweeps)

    monkeypatch.setattr(update_check, "with_interactions", spy)
    evidence = check_update(before, honest, 1, 50, 10, 0.2, 0)
    known, held = hold_out(honest, 0.2, 0)
    pd.testing.assert_frame_equal(seen[0], known)
    assert evidence.new_rows.n_users == held["user_id"].nunique()
    assert evidence.old_rows.n_users == 50


def test_a_model_that_is_updated_by_nothing_forgets_nothing(before, honest, monkeypatch):
    monkeypatch.setattr(update_check, "with_interactions", lambda model, *_: type("U", (), {"recommender": model}))
    evidence = check_update(before, honest, 1, 1000, 10, 0.2, 0)
    assert (evidence.old_rows.difference, evidence.overlap) == (0, 1)
    assert evidence.new_rows.difference == 0


def test_a_broken_update_is_worse_on_new_rows_and_forgets(before, honest, monkeypatch):
    """Popularity turned round lists what nobody takes."""

    def broken(model, rows, sweeps):
        update = with_interactions(model, rows, sweeps)
        counts = np.bincount(model.histories.history.indices, minlength=len(model.items))
        fitted = FittedPopular(update.recommender.model.recipe, -counts.astype(np.float32))
        return replace(update, recommender=replace(update.recommender, model=fitted))

    monkeypatch.setattr(update_check, "with_interactions", broken)
    evidence = check_update(before, honest, 1, 1000, 10, 0.2, 0)
    assert evidence.new_rows.high < 0
    assert evidence.old_rows.high < 0
    assert evidence.overlap < 0.2


def test_where_no_order_is_known_something_is_hidden_too(before, honest):
    plain = replace(before, histories=Query.of(before.histories.history))
    evidence = check_update(plain, honest.drop(columns="timestamp"), 1, 20, 10, 0.2, 0)
    assert evidence.old_rows.n_users == 20


def test_one_row_of_a_new_user_can_be_checked(before):
    rows = pd.DataFrame({"user_id": ["somebody new"], "item_id": ["i1"]})
    for seed in range(6):  # held out or not
        assert check_update(before, rows, 1, 20, 10, 0.5, seed).old_rows.n_users == 20


def test_what_speaks_against_a_pair_is_nothing_to_be_listed(before, honest):
    user, item = before.user_ids[0], before.item_ids[-1]
    rows = pd.DataFrame({"user_id": [user], "item_id": [item], "timestamp": [3e9], "confidence": [0.0]})
    both = pd.concat([honest[honest["user_id"] != user].assign(confidence=1.0), rows], ignore_index=True)
    assert rows["item_id"].isin(hold_out(both, 0.99, 0)[1]["item_id"]).all()
    n_users = check_update(before, both, 1, 50, 10, 0.99, 0).new_rows.n_users
    assert n_users == honest.loc[honest["user_id"] != user, "user_id"].nunique()
    barred = pd.concat([honest.assign(confidence=1.0), honest[:1].assign(item_id=item, confidence=0.0)])
    update = with_interactions(before, barred, 1)
    figures = [drift(before, update, some, 50, 10, 0)["psi"].tolist() for some in (barred, honest)]
    assert figures[0] == figures[1]


def test_rows_without_a_time_come_first():
    rows = pd.DataFrame({"user_id": ["a"] * 4, "item_id": range(4), "timestamp": [3.0, np.nan, 1.0, 2.0]})
    assert hold_out(rows, 0.5, 0)[1]["item_id"].tolist() == [3, 0]
