"""Raw tables become Tailor's: what is repaired or dropped is counted and named."""

import numpy as np
import pandas as pd
import pytest

from tailor.data.cleaning import QualityReport, as_id, clean_interactions, clean_items, clean_users
from tailor.data.config import CleaningOptions, ColumnOptions
from tailor.data.fabricate import planted_catalogue
from tailor.errors import BadInputError

COLUMNS = ColumnOptions(
    interactions={"user_id": "user", "item_id": "item", "value": "rating", "timestamp": "time"},
    items={"item_id": "item"},
    users={"user_id": "user"},
)
ITEMS = pd.DataFrame({"item_id": ["a", "b", "c"]})


def interactions(**columns) -> pd.DataFrame:
    rows = {"user": ["1", "1", "2"], "item": ["a", "b", "c"], "rating": [5, 3, 4], "time": [1, 2, 3]}
    return pd.DataFrame(rows | columns)


def clean(frame, columns=COLUMNS, **options):
    report = QualityReport()
    return clean_interactions(frame, ITEMS, columns, CleaningOptions(**options), report), report.to_frame()


def test_clean_rows_pass_untouched():
    data, report = clean(interactions())
    assert data.to_dict("list") == {
        "user_id": ["1", "1", "2"],
        "item_id": ["a", "b", "c"],
        "value": [5.0, 3.0, 4.0],
        "timestamp": [1.0, 2.0, 3.0],
    }
    assert report.empty


@pytest.mark.parametrize(
    ("column", "values", "problem"),
    [
        ("user", ["1", None, "2"], "missing user_id"),
        ("item", ["a", "  ", "c"], "missing item_id"),
        ("item", ["a", "ghost", "c"], "item_id not in the items table"),
        ("rating", ["5", "much", "4"], "missing or unreadable value"),
        ("time", [1, np.inf, 3], "missing or unreadable timestamp"),
    ],
)
def test_a_defective_row_is_dropped_counted_and_named(column, values, problem):
    data, report = clean(interactions(**{column: values}))
    assert len(data) == 2
    assert report[["table", "problem", "action", "rows", "first_rows"]].to_dict("records") == [
        {"table": "interactions", "problem": problem, "action": "dropped", "rows": 1, "first_rows": "1"}
    ]


def test_of_repeated_pairs_the_latest_is_kept():
    data, report = clean(interactions(user=["1", "1", "1"], item=["a", "a", "b"], rating=[1, 2, 3], time=[9, 2, 3]))
    assert data[["item_id", "value"]].to_numpy().tolist() == [["a", 1.0], ["b", 3.0]]
    assert report["rows"].tolist() == [1]
    assert report["first_rows"].tolist() == ["1"]


def test_threshold_keeps_positives_and_says_how_many_were_not():
    data, report = clean(interactions(), implicit_threshold=4)
    assert data["value"].tolist() == [5.0, 4.0]
    assert report["problem"].tolist() == ["value below 4: not a positive"]


def test_threshold_without_value_column_is_an_error():
    columns = ColumnOptions(interactions={"user_id": "user", "item_id": "item"})
    with pytest.raises(BadInputError, match="no column is mapped to 'value'"):
        clean(interactions(), columns, implicit_threshold=4)


def test_missing_column_is_named_with_its_mapping_and_a_suggestion():
    with pytest.raises(BadInputError, match=r"no column 'rating' \(mapped to 'value'.*Did you mean 'ratings'\?"):
        clean(interactions().rename(columns={"rating": "ratings"}))


def test_required_mapping():
    with pytest.raises(BadInputError, match=r"columns.interactions maps no column to 'item_id'"):
        clean(interactions(), ColumnOptions(interactions={"user_id": "user"}))


def test_empty_file():
    with pytest.raises(BadInputError, match="raw_interactions has no rows"):
        clean(interactions().head(0))


def test_mostly_defective_input_stops_the_run_with_the_counts():
    with pytest.raises(BadInputError, match=r"(?s)67% of the rows.*not in the items table.*max_dropped_fraction"):
        clean(interactions(item=["x", "y", "c"]))


def test_unknown_split_label():
    columns = ColumnOptions(interactions={"user_id": "user", "item_id": "item", "split": "part"})
    with pytest.raises(BadInputError, match=r"split label 'tset' \(row 1, 1 rows in all\)"):
        clean(interactions(part=["train", "tset", "test"]), columns)
    with pytest.raises(BadInputError, match=r"split label 'tset' \(row 1, 2 rows in all\)"):
        clean(interactions(part=["train", "tset", "tets"]), columns)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (pd.Series([1, 2]), ["1", "2"]),
        (pd.Series([1.0, np.nan]), ["1", None]),
        (pd.Series([1.5, 2.0]), ["1.5", "2.0"]),
        (pd.Series([" x ", ""]), ["x", None]),
    ],
)
def test_ids_become_strings(raw, expected):
    got = as_id(raw)
    assert [None if pd.isna(v) else v for v in got] == expected


def test_dates_are_read_as_seconds():
    data, _ = clean(interactions(time=["1970-01-02", "1970-01-01T00:01", "1971-01-01"]))
    assert data["timestamp"].tolist() == [24 * 3600.0, 60.0, 365 * 24 * 3600.0]


def test_context_text_and_vectors_are_carried():
    columns = ColumnOptions(
        interactions={"user_id": "user", "item_id": "item", "text": "review", "context_device": "device"},
        items={"item_id": "item", "vector_image": "image"},
    )
    frame = interactions(review=["good", "bad", "fine"], device=["tv", "web", "tv"])
    data, _ = clean(frame, columns)
    assert data["text"].tolist() == ["good", "bad", "fine"]
    assert data["context_device"].tolist() == ["tv", "web", "tv"]
    items = clean_items(pd.DataFrame({"item": ["a", "b"], "image": ["1 2", "[3, 4]"]}), columns, QualityReport())
    assert items["vector_image"].tolist() == [[1.0, 2.0], [3.0, 4.0]]


@pytest.mark.parametrize(("cells", "words"), [(["1 2", "3"], "one length"), (["1 2", "3 x"], "not a vector")])
def test_malformed_vectors(cells, words):
    columns = ColumnOptions(items={"item_id": "item", "vector_image": "image"})
    with pytest.raises(BadInputError, match=words):
        clean_items(pd.DataFrame({"item": ["a", "b"], "image": cells}), columns, QualityReport())


def test_duplicated_items_and_users_keep_the_first():
    report = QualityReport()
    columns = ColumnOptions(items={"item_id": "i", "title": "t"}, users={"user_id": "u"})
    items = clean_items(pd.DataFrame({"i": ["a", "a", None], "t": ["first", "second", "third"]}), columns, report)
    users = clean_users(pd.DataFrame({"u": ["1", "1"]}), columns, report)
    assert items["title"].tolist() == ["first"]
    assert users["user_id"].tolist() == ["1"]
    assert report.to_frame()["problem"].tolist() == [
        "missing item_id",
        "duplicated item_id (the first is kept)",
        "duplicated user_id (the first is kept)",
    ]


def test_planted_dirt_is_counted_exactly():
    planted = planted_catalogue(dirty=5)
    columns = ColumnOptions(
        interactions={"user_id": "user_id", "item_id": "item_id", "timestamp": "timestamp"},
        items={"item_id": "item_id"},
    )
    report = QualityReport()
    items = clean_items(planted.items, columns, report)
    clean_interactions(planted.interactions, items, columns, CleaningOptions(), report)
    counts = report.to_frame().set_index("problem")["rows"].to_dict()
    assert counts == {
        "missing item_id": planted.n_missing_ids,
        "item_id not in the items table": planted.n_unknown_items,
        "repeated (user_id, item_id) (the latest is kept)": planted.n_duplicates,
    }
