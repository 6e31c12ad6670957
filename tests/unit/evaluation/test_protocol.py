"""Who is listed what, what is left out and what counts, on a catalogue of six items."""

from typing import get_args

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from tailor.data.interactions import final_rows
from tailor.evaluation.protocol import (
    FITTED,
    NewUserProtocol,
    positives,
    train_histories,
    validation_protocol,
)
from tailor.evaluation.protocol import test_protocol as protocol_of_test
from tailor.options import EvaluationOptions

#: a head, b and c tail, d pseudo-cold B, e cold, f unseen.
ITEMS = pd.DataFrame(
    {
        "item_id": list("abcdef"),
        "n_train": [3, 2, 1, 1, 0, 0],
        "bucket": ["head", "tail", "tail", "tail", "cold", "unseen"],
        "pseudo_cold": ["none", "none", "none", "B", "none", "none"],
    }
)
USERS = pd.DataFrame({"user_id": ["u", "v", "w"], "bucket": ["q1", "q4", "new"], "n_train": [3, 4, 0]})
PROFILES = np.array([[0.5], [-0.5], [0.25]], np.float32)


def csr(*rows):
    return sparse.csr_matrix(np.array(rows, np.float32))


TRAIN = csr([1, 1, 0, 1, 0, 0], [1, 1, 1, 0, 0, 0], [0, 0, 0, 0, 0, 0])
VALIDATION = csr([0, 0, 1, 0, 0, 0], [0, 0, 0, 1, 0, 0], [0, 0, 0, 0, 0, 0])
UNUSED = csr([0, 0, 0, 0, 1, 0], [0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0])
ORDER = csr([2, 1, 4, 3, 0, 0], [1, 2, 3, 4, 0, 0], [0, 0, 0, 0, 0, 0])
KNOWN = {"train": TRAIN, "order": ORDER, "side_features": {"profiles": PROFILES}}


@pytest.fixture
def validation():
    return validation_protocol(ITEMS, **KNOWN)


@pytest.fixture
def of_test():
    return protocol_of_test(ITEMS, validation=VALIDATION, cold_unused=UNUSED, **KNOWN)


def names(mask):
    return "".join(ITEMS["item_id"][mask])


def test_on_validation_pseudo_cold_b_plays_the_cold_items(validation):
    assert {name: names(mask) for name, mask in validation.candidates.items()} == {
        "warm": "abcf",
        "cold": "d",
        "mixed": "abcdf",
    }
    assert validation.item_bucket.tolist() == ["head", "tail", "tail", "cold", "held_out", "unseen"]
    # Nothing of B is in a history; what was trained on is left out of lists.
    assert validation.histories.history.toarray().tolist() == [[1, 1, 0, 0, 0, 0], [1, 1, 1, 0, 0, 0], [0] * 6]
    assert (validation.seen != TRAIN).nnz == 0


def test_on_test_validation_rows_are_known_and_cold_items_may_be_listed(of_test):
    assert {name: names(mask) for name, mask in of_test.candidates.items()} == {
        "warm": "abcdf",
        "cold": "e",
        "mixed": "abcdef",
    }
    assert of_test.item_bucket.tolist() == ITEMS["bucket"].tolist()
    assert of_test.histories.history.toarray().tolist() == [[1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 0, 0], [0] * 6]
    assert of_test.seen.toarray().tolist() == [[1, 1, 1, 1, 1, 0], [1, 1, 1, 1, 0, 0], [0] * 6]


def test_groups_of_items_are_those_that_models_learn_from_and_those_with_an_earlier_row(validation):
    assert {name: names(mask) for name, mask in validation.item_groups.items()} == {"warm": "abc"}
    later = VALIDATION + csr([0] * 6, [0, 0, 0, 0, 0, 1], [0] * 6)  # f has no train row, and one in validation
    of_test = protocol_of_test(ITEMS, validation=later, cold_unused=UNUSED, **KNOWN)
    assert {name: names(mask) for name, mask in of_test.item_groups.items()} == {"warm": "abcd", "known": "abcdf"}


def test_final_models_know_validation_rows_only_where_the_option_says_so():
    """Of v's validation rows d joins; f has no train rows, so no model can learn it and it stays out."""
    validation = csr([0, 0, 1, 0, 0, 0], [0, 0, 0, 1, 0, 1], [0, 0, 0, 0, 0, 0])
    assert (final_rows(TRAIN, validation, ITEMS, "train") != TRAIN).nnz == 0
    both = final_rows(TRAIN, validation, ITEMS, "train_and_validation")
    assert both.toarray().tolist() == [[1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 0, 0], [0] * 6]
    assert both.nnz == TRAIN.nnz + 2
    assert set(FITTED) == set(get_args(EvaluationOptions.model_fields["fit_on"].annotation))


@pytest.mark.parametrize("protocol", ["validation", "of_test"])
def test_histories_keep_order_profiles_and_users(protocol, request):
    histories = request.getfixturevalue(protocol).histories
    assert (histories.order.multiply(histories.history) != histories.order).nnz == 0
    assert histories.order[0, 1] == 1
    assert histories.order[0, 0] == 2
    np.testing.assert_array_equal(histories.profile, PROFILES)
    assert histories.user_index.tolist() == [0, 1, 2]


def test_where_no_order_is_known_there_is_none():
    histories = validation_protocol(ITEMS, **KNOWN | {"order": csr([0] * 6, [0] * 6, [0] * 6)}).histories
    assert histories.order is None


def test_train_histories_are_the_train_rows():
    assert (train_histories(**KNOWN).history != TRAIN).nnz == 0


def test_only_the_items_of_a_candidate_set_count(of_test):
    taken = csr([1, 0, 0, 0, 1, 1])
    counted = {name: positives(taken, of_test, name).toarray()[0].tolist() for name in of_test.candidates}
    assert counted == {"warm": [1, 0, 0, 0, 0, 1], "cold": [0, 0, 0, 0, 1, 0], "mixed": [1, 0, 0, 0, 1, 1]}


def test_new_users_reveal_their_first_items_and_cold_ones_never_count():
    new_user = csr([0] * 6, [0] * 6, [1, 1, 1, 0, 1, 0])
    reveal_order = csr([0] * 6, [0] * 6, [3, 1, 4, 0, 2, 0])
    protocol = NewUserProtocol.build(USERS, ITEMS, new_user, reveal_order, {"profiles": PROFILES})
    assert protocol.users.tolist() == [2]
    np.testing.assert_array_equal(protocol.profiles, PROFILES[[2]])
    for n, known, hidden in ((0, "", "abc"), (1, "b", "ac"), (2, "ab", "c"), (5, "abc", "")):
        query = protocol.revealed(n)
        assert names(query.history.toarray()[0] > 0) == known
        assert names(protocol.hidden(n).toarray()[0] > 0) == hidden
        assert set(protocol.hidden(n).data.tolist()) <= {1.0}
        assert query.user_index.tolist() == [2]
    assert protocol.revealed(2).order.toarray()[0].tolist() == [3, 1, 0, 0, 0, 0]
