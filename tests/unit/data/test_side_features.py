"""What is known of users and moments, as numbers."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailor.data.config import SideFeatureOptions
from tailor.data.side_features import FeatureEncoder, SideFeatures
from tailor.errors import BadInputError, ConfigurationError
from tailor.pipelines.feature_engineering.nodes import encode_side_features

USERS = pd.DataFrame(
    {
        "user_id": [f"u{u}" for u in range(40)],
        "n_train": [5] * 39 + [0],
        "gender": ["F", "M", "F", "unknown"] * 9 + ["F", "x", None, "M"],
        "age": np.arange(40) + 15.0,
    }
)
OPTIONS = SideFeatureOptions(columns=["gender", "age"], bins=4, min_rows=5)
ENCODER = FeatureEncoder.fit(USERS[USERS["n_train"] > 0], OPTIONS, ["unknown"], "here")
NOTHING = pd.DataFrame({"user_id": [], "item_id": [], "split": []}, dtype=str)
ITEMS = pd.DataFrame({"item_id": ["a", "b", "c"]})


def test_values_and_intervals():
    gender, age = ENCODER.columns
    assert gender.values == ("F", "M")  # noqa: PD011  ("x" is too rare, "unknown" missing)
    assert gender.shares == (
        19 / 28,
        9 / 28,
    )  # of users of whom it is known; the user without train rows does not count
    ages = USERS["age"][:39]
    assert age.edges == tuple(np.quantile(ages, [0.25, 0.5, 0.75]))
    assert len(age.values) == 4
    assert ENCODER.width == 6


def test_a_number_of_few_values_has_a_value_each():
    users = pd.DataFrame({"stars": [1.0, 2.0, 2.0, np.nan]})
    encoder = FeatureEncoder.fit(users, SideFeatureOptions(columns=["stars"], bins=4, min_rows=1), [], "here")
    assert encoder.columns[0].values == ("1", "2")  # noqa: PD011
    np.testing.assert_allclose(encoder.transform(users)[1], [-1 / 3, 1 / 3], rtol=1e-6)


def test_rows_are_centred_and_0_where_nothing_is_known():
    table = ENCODER.transform(USERS)
    assert table.shape == (40, 6)
    np.testing.assert_allclose(table[0, :2], [1 - 19 / 28, -9 / 28], rtol=1e-6)
    assert not table[3, :2].any()  # unknown
    assert not table[37, :2].any()  # too rare
    np.testing.assert_allclose(table[:39, 2:].mean(axis=0), 0, atol=1e-6)
    assert not ENCODER.transform(pd.DataFrame({"other": [1, 2]})).any()


def test_an_edge_belongs_to_the_interval_above_it():
    age = ENCODER.columns[1]
    edge = age.edges[0]
    codes = age.codes(pd.Series([edge - 1e-6, edge, age.edges[-1], None]))
    assert codes.tolist() == [0, 1, 3, -1]


def test_requests_are_read_as_the_table_is():
    of_requests = ENCODER.transform_requests([{"gender": "M", "age": 33}, {"age": "16"}, {}], "profile")
    as_table = pd.DataFrame({"gender": ["M", None, None], "age": [33.0, 16.0, np.nan]})
    np.testing.assert_array_equal(of_requests, ENCODER.transform(as_table))
    assert not of_requests[2].any()
    with pytest.raises(
        BadInputError, match=r"Unknown profile field 'gendre'. Did you mean 'gender'\? This model knows: gender, age"
    ):
        ENCODER.transform_requests([{"gendre": "F"}], "profile")
    with pytest.raises(BadInputError, match=r"Unknown context field 'hour'. This model knows: none"):
        FeatureEncoder().transform_requests([{"hour": 3}], "context")


def test_an_encoder_is_plain_json():
    again = FeatureEncoder.from_state(json.loads(json.dumps(ENCODER.state())))
    assert again == ENCODER


def test_a_column_that_does_not_exist_is_refused():
    with pytest.raises(ConfigurationError, match=r"here.columns names 'gendre'. Did you mean 'gender'\?"):
        FeatureEncoder.fit(USERS, SideFeatureOptions(columns=["gendre"]), [], "here")


def test_what_the_node_writes_is_read_again():
    arrays, state = encode_side_features(USERS, ITEMS, NOTHING, {"profile": {"columns": ["gender", "age"], "bins": 4}})
    side = SideFeatures(**arrays)
    np.testing.assert_array_equal(side.profiles, FeatureEncoder.from_state(state["profile"]).transform(USERS))
    assert side.contexts.shape == (0, 0)
    assert side.validation_contexts.shape == (40, 0)


def test_a_catalogue_without_side_features_has_columns_of_none():
    written, state = encode_side_features(USERS, ITEMS, NOTHING, {})
    none = SideFeatures.nothing(40).arrays()
    assert state == {"profile": {"columns": []}, "context": {"columns": []}}
    assert written.keys() == none.keys()
    for name, array in none.items():
        assert written[name].shape == array.shape, name
        assert written[name].dtype == array.dtype, name


def test_contexts_are_those_of_train_and_validation_rows():
    rows = pd.DataFrame(
        {
            "user_id": ["u0", "u0", "u1", "u1", "u1", "u2"],
            "item_id": ["a", "b", "a", "b", "c", "c"],
            "split": ["train", "train", "train", "validation", "validation", "test"],
            "context_device": ["tv", "web", "tv", "web", "tv", "tv"],
        }
    )
    params = {"context": {"columns": ["context_device"], "min_rows": 1}}
    arrays, state = encode_side_features(USERS, ITEMS, rows, params)
    side, encoder = SideFeatures(**arrays), FeatureEncoder.from_state(state["context"])
    assert encoder.columns[0].shares == (2 / 3, 1 / 3)  # of train rows: tv, web
    assert side.context_users.tolist() == [0, 0, 1, 1, 1]
    assert side.context_items.tolist() == [0, 1, 0, 1, 2]
    np.testing.assert_allclose(side.contexts[0], [1 / 3, -1 / 3], rtol=1e-6)
    np.testing.assert_allclose(side.validation_contexts[1], side.contexts[3:].mean(axis=0), rtol=1e-6)  # web and tv
    assert not side.validation_contexts[[0, 2]].any()
    without = SideFeatures(**encode_side_features(USERS, ITEMS, rows, {})[0])
    assert without.context_users.tolist() == without.context_items.tolist() == []
    assert without.contexts.shape == (0, 0)


@given(st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6), st.just("unknown")), min_size=1, max_size=60))
def test_any_column_gives_finite_numbers(values):
    users = pd.DataFrame({"user_id": range(len(values)), "n_train": 1, "age": values})
    options = SideFeatureOptions(columns=["age"], min_rows=1)
    table = FeatureEncoder.fit(users, options, ["unknown"], "here").transform(users)
    assert np.isfinite(table).all()
    assert (np.abs(table) <= 1).all()


def test_a_column_of_which_nothing_is_known_is_no_column():
    users = USERS.assign(gender=None)
    encoder = FeatureEncoder.fit(users, OPTIONS, [], "here")
    assert encoder.transform(users).shape == (40, encoder.width) == (40, 4)  # the intervals of the age
    only = FeatureEncoder.fit(users, SideFeatureOptions(columns=["gender"]), [], "here")
    assert only.transform(users).shape == (40, only.width) == (40, 0)


def test_a_column_of_lists_is_refused():
    users = USERS.assign(tags=[["a"], None] * 20)
    with pytest.raises(ConfigurationError, match=r"here\.columns names 'tags', whose cells are lists"):
        FeatureEncoder.fit(users, SideFeatureOptions(columns=["tags"]), [], "here")
