"""The nodes that write texts and number histories: what they refuse, and what they tell."""

import pandas as pd
import pytest

from tailor.errors import ConfigurationError
from tailor.pipelines.feature_engineering.nodes import order_histories, write_item_texts

NO_ROWS = pd.DataFrame({"user_id": [], "item_id": [], "split": []}, dtype="str")


def catalogue(**columns):
    return pd.DataFrame({"item_id": ["a", "b"], "pseudo_cold": "none"} | columns)


def params(*template):
    return {"text": {"item_template": list(template)}}


def test_a_catalogue_whose_texts_are_all_empty_is_refused():
    with pytest.raises(ConfigurationError, match=r"engineering\.text\.item_template = \['\{title\}'\] reads title"):
        write_item_texts(catalogue(title=[None, "unknown"]), NO_ROWS, params("{title}"))


def test_a_column_that_says_the_same_of_all_items_is_told_once(caplog):
    texts, _ = write_item_texts(catalogue(title=["x", "y"], size=0), NO_ROWS, params("{title}", "{title} {size}"))
    assert texts["text"].tolist() == ["x. x 0", "y. y 0"]
    assert caplog.messages == [
        "feature_engineering.text.item_template: column 'size' is '0' for all 2 items: it tells no two apart"
    ]


@pytest.mark.parametrize(
    ("change", "strategy", "known"),
    [
        ({}, "per_user", True),
        ({}, "random", False),
        ({"timestamp": 7.0}, "per_user", False),  # times that do not differ are none
        (None, "per_user", False),
    ],
)
def test_models_are_told_an_order_where_times_differ_and_the_split_keeps_to_them(tables, change, strategy, known):
    rows = tables.interactions.drop(columns="timestamp") if change is None else tables.interactions.assign(**change)
    order, reveal = order_histories(rows, tables.users, tables.items, {"strategy": strategy})
    assert bool(order.nnz) == known
    assert reveal.nnz == tables.reveal_order.nnz
