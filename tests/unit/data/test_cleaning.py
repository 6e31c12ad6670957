"""Raw tables become Tailor's: what is repaired or dropped is counted and named."""

import numpy as np
import pandas as pd
import pytest

from tailor.data import cleaning
from tailor.data.cleaning import (
    RowRules,
    check_joins,
    clean_interactions,
    clean_items,
    clean_users,
    columns_of_update,
)
from tailor.data.config import CleaningOptions, ColumnOptions, DataProcessingOptions
from tailor.data.fabricate import planted_catalogue
from tailor.data.people import SUPPRESSED, People, Pseudonyms, SuppressionList
from tailor.data.quality import QualityReport
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
    data = clean_interactions(frame, ITEMS, columns, CleaningOptions(**options), report)
    account = report.accounts().set_index("table").loc["interactions"]
    assert account["rows_in"] == len(frame) == account["dropped"] + account["kept"]
    assert account["kept"] == len(data)
    return data, report.to_frame()


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
    ("column", "values", "problem", "shown"),
    [
        ("user", ["1", None, "2"], "missing user_id", ""),
        ("item", ["a", "  ", "c"], "missing item_id", ""),
        ("item", ["a", "ghost", "c"], "item_id not in the items table", "ghost"),
        ("rating", ["5", "much", "4"], "unreadable value", "much"),
        ("rating", ["5", "2014-05-03", "4"], "unreadable value", "2014-05-03"),
        ("rating", ["5", None, "4"], "missing value", "nan"),
        ("time", [1, np.inf, 3], "unreadable timestamp", "inf"),
        ("time", ["2014-05-03", "0", "2014-05-04"], "unreadable timestamp", "0"),
        ("time", pd.to_datetime(["2014-05-03", None, "2014-05-04"]), "missing timestamp", "NaT"),
    ],
)
def test_a_defective_row_is_dropped_counted_and_shown(column, values, problem, shown):
    data, report = clean(interactions(**{column: values}))
    assert data["item_id"].tolist() == ["a", "c"]
    row = {"table": "interactions", "problem": problem, "action": "dropped", "rows": 1, "lines": "2"}
    assert report.to_dict("records") == [row | {"examples": shown}]


def test_lines_of_the_file_are_named_where_they_are_known():
    frame = interactions(item=["a", "ghost", "c"]).set_axis(pd.Index([2, 5, 6], name="line"), axis=0)
    assert clean(frame)[1]["lines"].tolist() == ["5"]


def test_of_repeated_pairs_the_latest_is_kept():
    data, report = clean(interactions(user=["1", "1", "1"], item=["a", "a", "b"], rating=[1, 2, 3], time=[9, 2, 3]))
    assert data[["item_id", "value"]].to_numpy().tolist() == [["a", 1.0], ["b", 3.0]]
    assert report["rows"].tolist() == [1]
    assert report["lines"].tolist() == ["2"]


def test_the_latest_rating_says_whether_a_pair_is_a_positive():
    """Rated 5, later 1: the one is taken back."""
    rated = interactions(user=["1", "1", "2"], item=["a", "a", "b"], rating=[5, 1, 4], time=[1, 2, 3])
    data, report = clean(rated, implicit_threshold=4)
    assert data["item_id"].tolist() == ["b"]
    assert report["rows"].tolist() == [1, 1]


EVENTS = ColumnOptions(interactions={"user_id": "user", "item_id": "item", "timestamp": "time", "event": "kind"})


def test_a_later_look_takes_no_purchase_back():
    seen = interactions(user=["1", "1", "2"], item=["a", "a", "b"], kind=["buy", "view", "view"])
    data, report = clean(seen, EVENTS, positive_events=["buy"])
    assert data["item_id"].tolist() == ["a"]
    assert report["problem"].tolist() == ["another event: not a positive"]
    assert report["rows"].tolist() == [2]
    with pytest.raises(BadInputError, match=r"names bought, which no row of raw_interactions has.*: buy, view"):
        clean(seen, EVENTS, positive_events=["bought"])
    with pytest.raises(BadInputError, match="positive_events is set, but no column is mapped to 'event'"):
        clean(interactions(), positive_events=["buy"])


@pytest.mark.parametrize(
    ("column", "values", "problem", "read"),
    [
        ("rating", ["4,5", "3", "2"], "value with commas", [4.5, 3.0, 2.0]),
        ("rating", ["5 stars", "3 stars", "1 star"], "value with words behind the number", [5.0, 3.0, 1.0]),
        ("time", ["1970-01-02", "1970-01-03", "2 Jan 1970"], None, [86400.0, 172800.0, 86400.0]),
    ],
)
def test_other_forms_are_repaired_and_counted(column, values, problem, read):
    data, report = clean(interactions(**{column: values}))
    assert data["value" if column == "rating" else "timestamp"].tolist() == read
    assert report["action"].tolist() == ["repaired"]
    assert problem is None or report["problem"].tolist() == [problem]


def test_units_of_times_are_told():
    data, report = clean(interactions(time=[1_400_000_000_000, 1_400_000_060_000, 1_400_000_120_000]))
    assert data["timestamp"].tolist() == [1.4e9, 1.4e9 + 60, 1.4e9 + 120]
    assert report["problem"].tolist() == ["timestamp is in ms; read as seconds"]
    assert report["action"].tolist() == ["noticed"]


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
    with pytest.raises(BadInputError, match=r"split label 'tset' \(row 2, 1 rows in all\)"):
        clean(interactions(part=["train", "tset", "test"]), columns)
    with pytest.raises(BadInputError, match=r"split label 'tset' \(row 2, 2 rows in all\)"):
        clean(interactions(part=["train", "tset", "tets"]), columns)


def test_where_no_item_is_known_ids_of_both_sides_are_named():
    frame = interactions(item=["x", "y", "z"])
    with pytest.raises(BadInputError, match=r"No item_id of raw_interactions \(x, y, z\) is in .* \(a, b, c\)"):
        clean(frame)


def test_an_index_that_holds_a_column_is_one():
    data, _ = clean(interactions().set_index("user"))
    assert data["user_id"].tolist() == ["1", "1", "2"]


@pytest.mark.parametrize("index", [["7", "8", "9"], [7, 8, 9], [2, 0, 1]])
def test_a_column_that_was_taken_for_an_index_is_refused(index):
    with pytest.raises(BadInputError, match=r"raw_interactions: the first column was taken .*index_col: false"):
        clean(interactions().set_axis(index, axis=0))


def test_a_column_that_is_there_twice_is_refused():
    frame = interactions()
    with pytest.raises(BadInputError, match="raw_interactions has several columns 'user'"):
        clean(pd.concat([frame, frame[["user"]]], axis=1))


def test_tables_that_do_not_join_are_counted_both_ways():
    report = QualityReport()
    users = pd.DataFrame({"user_id": ["1", "9", "8"]})
    data = pd.DataFrame({"user_id": ["1", "2"], "item_id": ["a", "a"]})
    check_joins(data, ITEMS, users, report)
    assert report.to_frame().set_index("problem")["rows"].to_dict() == {
        "items without interactions (they are recommended by their texts)": 2,
        "users of the interactions that the users table lacks": 1,
        "users without interactions (left out)": 2,
    }
    assert report.to_frame()["examples"].tolist() == ["b; c", "", ""]  # ids of people are not printed


def test_a_users_table_that_joins_nobody_is_refused():
    data = pd.DataFrame({"user_id": ["1", "2"], "item_id": ["a", "a"]})
    users = pd.DataFrame({"user_id": ["u1", "u2", "u3", "u4"]})
    with pytest.raises(BadInputError, match=r"No user_id of the interactions \(1, 2\) is in .* \(u1, u2, u3, …\)"):
        check_joins(data, ITEMS, users, QualityReport())
    check_joins(data, ITEMS, users.head(0), QualityReport())


def test_the_whole_catalogue():
    raw = {
        "interactions": interactions(time=[10**9, 10**9 + 60, 10**9 + 90]),
        "items": pd.DataFrame({"item": ["a", "b", "c", "a"]}),
        "users": pd.DataFrame({"user": [1.0, 2.0, np.nan]}),
    }
    report = QualityReport()
    tables = cleaning.clean(raw, COLUMNS, CleaningOptions(), report)
    assert tables.interactions["user_id"].tolist() == ["1", "1", "2"]
    assert tables.users["user_id"].tolist() == ["1", "2"]
    accounts = report.accounts().set_index("table")
    assert accounts.loc["items"].to_dict() == {"rows_in": 4, "skipped": 0, "dropped": 1, "repaired": 0, "kept": 3}
    assert accounts.loc["users"].to_dict() == {"rows_in": 3, "skipped": 0, "dropped": 1, "repaired": 0, "kept": 2}


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
    items = clean_items(
        pd.DataFrame({"item": ["a", "b"], "image": ["1 2", "[3, 4]"]}), columns, CleaningOptions(), QualityReport()
    )
    assert items["vector_image"].tolist() == [[1.0, 2.0], [3.0, 4.0]]


def test_items_without_a_vector_stay_and_are_counted():
    """The cells are read by :mod:`tailor.data.item_vectors`; no row is dropped or repaired for them."""
    columns = ColumnOptions(items={"item_id": "item", "vector_image": "image"})
    raw, report = pd.DataFrame({"item": ["a", "b", "c"], "image": ["1 2", None, "3 4"]}), QualityReport()
    items = clean_items(raw, columns, CleaningOptions(), report)
    assert items["vector_image"].tolist() == [[1.0, 2.0], None, [3.0, 4.0]]
    assert report.to_frame()[["problem", "action", "rows"]].to_numpy().tolist() == [
        ["vector_image is missing", "noticed", 1]
    ]
    account = report.accounts().set_index("table").loc["items"]
    assert (account["rows_in"], account["kept"], account["dropped"], account["repaired"]) == (3, 3, 0, 0)


def test_duplicated_items_and_users_keep_the_first():
    report = QualityReport()
    columns = ColumnOptions(items={"item_id": "i", "title": "t"}, users={"user_id": "u"})
    items = clean_items(
        pd.DataFrame({"i": ["a", "a", None], "t": ["first", "second", "third"]}), columns, CleaningOptions(), report
    )
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
    items = clean_items(planted.items, columns, CleaningOptions(), report)
    clean_interactions(planted.interactions, items, columns, CleaningOptions(), report)
    counts = report.to_frame().set_index("problem")["rows"].to_dict()
    assert counts == {
        "missing item_id": planted.n_missing_ids,
        "item_id not in the items table": planted.n_unknown_items,
        "repeated (user_id, item_id) (the latest is kept)": planted.n_duplicates,
    }


class TestColumnsOfAnUpdate:
    OPTIONS = DataProcessingOptions(
        columns=ColumnOptions(
            interactions={"user_id": "kunde", "item_id": "sku", "timestamp": "at", "value": "stars", "text": "review"}
        )
    )

    def mapping(self, *columns, **cleaning):
        options = self.OPTIONS.model_copy(update={"cleaning": CleaningOptions(**cleaning)})
        return columns_of_update(pd.DataFrame(columns=columns), options).interactions

    def test_they_are_the_catalogue_s_own(self):
        assert self.mapping("kunde", "sku", "at", "stars", "review") == self.OPTIONS.columns.interactions

    def test_or_ours(self):
        assert self.mapping("user_id", "item_id", "at") == {
            "user_id": "user_id",
            "item_id": "item_id",
            "timestamp": "at",
        }

    def test_a_time_that_is_missing_is_asked_for_and_a_value_where_it_decides(self):
        assert self.mapping("kunde", "sku") == {"user_id": "kunde", "item_id": "sku", "timestamp": "at"}
        assert "value" in self.mapping("kunde", "sku", implicit_threshold=4)
        assert "event" not in self.mapping("kunde", "sku", positive_events=["buy"])  # the catalogue maps none

    def test_several_catalogues_are_read_by_our_names(self):
        films = {"user_id": "kunde", "item_id": "film", "timestamp": "at", "value": "stars"}
        books = {"user_id": "leser", "item_id": "isbn", "timestamp": "zeit", "event": "art"}
        domains = {"films": films, "books": books}
        options = DataProcessingOptions.model_validate(
            {"domains": {name: {"columns": {"interactions": mapping}} for name, mapping in domains.items()}}
        )

        def mapping(*columns):
            read = columns_of_update(pd.DataFrame(columns=columns), options).interactions
            assert all(ours == theirs for ours, theirs in read.items())
            return set(read)

        assert mapping("user_id", "item_id") == {"user_id", "item_id", "timestamp"}
        assert mapping("user_id", "item_id", "timestamp", "event") == {"user_id", "item_id", "timestamp", "event"}
        assert mapping("kunde", "film", "at", "stars") == {"user_id", "item_id", "timestamp"}

    def test_errors_name_the_file(self):
        rows = pd.DataFrame({"kunde": ["1"], "sku": ["a"]})
        columns = columns_of_update(rows, self.OPTIONS)
        with pytest.raises(BadInputError, match=r"raw_new_interactions has no column 'at' \(mapped to 'timestamp'"):
            clean_interactions(rows, ITEMS, columns, CleaningOptions(), QualityReport(), table="new_interactions")


def test_a_suppressed_person_is_left_out_before_anything_is_read_of_them():
    """What is left is to the cell what a file without the person gives, however many rows were theirs."""
    rows = {"user": ["1", "2", "1", "1", "3"], "item": ["a", "b", "ghost", "c", "c"], "rating": [5, 3, "x", 4, 2]}
    frame = pd.DataFrame(rows | {"time": [1, 2, 3, 4, 5]})
    without = frame[frame["user"] != "1"].reset_index(drop=True)
    people = People(SuppressionList.of(["1"], b"k" * 32))
    report = QualityReport()
    left = clean_interactions(
        frame, ITEMS, COLUMNS, CleaningOptions(max_dropped_fraction=0.1), report, rules=RowRules(people)
    )
    expected = clean_interactions(without, ITEMS, COLUMNS, CleaningOptions(), QualityReport())
    pd.testing.assert_frame_equal(left.reset_index(drop=True), expected.reset_index(drop=True))
    assert report.to_frame()["problem"].tolist() == [SUPPRESSED]
    users = clean_users(pd.DataFrame({"user": ["1", "2"]}), COLUMNS, report, people)
    assert users["user_id"].tolist() == ["2"]


def test_people_go_by_pseudonyms_in_both_tables():
    names = Pseudonyms(b"k" * 32)
    raw = {"interactions": interactions(), "items": ITEMS.rename(columns={"item_id": "item"})}
    raw["users"] = pd.DataFrame({"user": ["2", "1"]})
    tables = cleaning.clean(raw, COLUMNS, CleaningOptions(), QualityReport(), RowRules(People(pseudonyms=names)))
    assert tables.interactions["user_id"].tolist() == [names.of("1"), names.of("1"), names.of("2")]
    assert tables.users["user_id"].tolist() == [names.of("2"), names.of("1")]
