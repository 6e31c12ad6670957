"""Rows of a file may come in any order: what is made of them is the same to the last digit."""

import numpy as np
import pandas as pd
import pytest

from tailor import columns as c
from tailor.data.buckets import item_table, user_table
from tailor.data.cleaning import clean
from tailor.data.config import CleaningOptions, SplitOptions
from tailor.data.quality import QualityReport
from tailor.data.split import split_interactions
from tailor.pipelines.feature_engineering.nodes import build_matrices, order_histories
from tests.conftest import COLUMNS


def matrices(planted, interactions):
    raw = {"interactions": interactions, "items": planted.items, "users": planted.users}
    cleaned = clean(raw, COLUMNS, CleaningOptions(), QualityReport())
    rows, options = cleaned.interactions, SplitOptions()
    rows[c.SPLIT] = split_interactions(rows, options, 0)
    items, users = item_table(cleaned.items, rows, options, 0.8, 0), user_table(cleaned.users, rows)
    return [*build_matrices(rows, users, items), *order_histories(rows, users, items, {})], items, users


@pytest.mark.parametrize("seed", range(5))
def test_five_orders_of_the_rows_give_the_same_tables_and_matrices(planted, seed):
    expected, items, users = matrices(planted, planted.interactions)
    rows = planted.interactions.drop_duplicates(["user_id", "item_id"])  # of repeated rows the last one counts
    shuffled = rows.sample(frac=1, random_state=seed, ignore_index=True)
    again, items_again, users_again = matrices(planted, shuffled)
    pd.testing.assert_frame_equal(items, items_again)
    pd.testing.assert_frame_equal(users, users_again)
    for matrix, other in zip(expected, again, strict=True):
        np.testing.assert_array_equal(matrix.toarray(), other.toarray())
