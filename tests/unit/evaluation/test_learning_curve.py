"""The learning curve: nested parts of train, one set of positives, and what more interactions are worth."""

import pandas as pd
import pytest

from tailor import columns as c
from tailor.evaluation import learning_curve as module
from tailor.evaluation.learning_curve import COLUMNS, SHARES, learning_curve, no_curve


@pytest.fixture(scope="module")
def curve(tables) -> pd.DataFrame:
    rows = tables.interactions[tables.interactions[c.SPLIT].isin([c.TRAIN, c.VALIDATION])]
    return learning_curve(rows, tables.users, tables.items, seed=0)


def test_a_row_for_each_share(curve, tables):
    assert list(curve.columns) == COLUMNS
    n_train = int((tables.interactions[c.SPLIT] == c.TRAIN).sum())
    assert curve["share"].tolist() == list(SHARES)
    assert curve["interactions"].tolist() == [round(share * n_train) for share in SHARES]
    assert curve["model"].unique().tolist() == ["ease"]


def test_the_same_users_count_everywhere(curve, tables):
    validation = tables.interactions[tables.interactions[c.SPLIT] == c.VALIDATION]
    warm = set(tables.items[c.ITEM][tables.items[c.N_TRAIN] > 0])
    expected = validation[validation[c.ITEM].isin(warm)][c.USER].nunique()
    assert curve["n_users"].tolist() == [expected] * 4


def test_more_interactions_help_where_clusters_are_planted(curve):
    assert curve["ndcg"].iloc[-1] > curve["ndcg"].iloc[0] + 0.02
    assert curve["ndcg"].between(0, 1).all()


def test_no_row_of_another_split_is_read(curve, tables):
    again = learning_curve(tables.interactions, tables.users, tables.items, seed=0)
    pd.testing.assert_frame_equal(again, curve)


def test_parts_do_not_depend_on_the_order_of_the_rows(curve, tables):
    shuffled = tables.interactions.sample(frac=1, random_state=1)
    pd.testing.assert_frame_equal(learning_curve(shuffled, tables.users, tables.items, seed=0), curve)


def test_large_catalogues_take_ials():
    assert module._model(5000, 0).name == "ease"
    assert module._model(5001, 0).name == "ials"


def test_without_validation_rows_there_is_no_curve(tables):
    train = tables.interactions[tables.interactions[c.SPLIT] == c.TRAIN]
    assert learning_curve(train, tables.users, tables.items, seed=0).empty
    assert list(no_curve().columns) == COLUMNS
    assert no_curve().empty
