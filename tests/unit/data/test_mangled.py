"""Mangled catalogues, as strangers have them: read right to the row, or refused in one sentence.

Each is a small shop of 12 people and 10 things that was written down badly. What can be read must give the people,
things, pairs, times and values of the plain shop; every row of every file is accounted for.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tailor.data.cleaning import clean
from tailor.data.config import DataProcessingOptions
from tailor.data.quality import QualityReport
from tailor.data.reading import read_text_table
from tailor.data.split import split_interactions
from tailor.errors import BadInputError

N_USERS, N_ITEMS, T0 = 12, 10, 1_400_000_000


def shop() -> dict[str, pd.DataFrame]:
    """The plain shop: ids are numbers, times are seconds, values are 1 to 5."""
    pairs = [(u, (u + step * step) % N_ITEMS) for u in range(N_USERS) for step in range(4)]
    pairs = list(dict.fromkeys(pairs))
    interactions = pd.DataFrame(pairs, columns=["user", "item"]) + 100
    interactions["time"] = T0 + 60 * np.arange(len(pairs))
    interactions["stars"] = 1 + np.arange(len(pairs)) % 5
    titles = ["Tea", "Café crème", "שלום", "千と千尋", "مرحبا", "Cake 🍰", "Müsli", "Naïve", "Salt & sugar", "Ω"]
    items = pd.DataFrame({"item": 100 + np.arange(N_ITEMS), "name": titles, "kind": ["drink", "food"] * 5})
    users = pd.DataFrame({"user": 100 + np.arange(N_USERS), "age": 20 + np.arange(N_USERS)})
    return {"interactions": interactions, "items": items, "users": users}


COLUMNS = {
    "interactions": {"user_id": "user", "item_id": "item", "timestamp": "time", "value": "stars"},
    "items": {"item_id": "item", "title": "name", "kind": "kind"},
    "users": {"user_id": "user", "age": "age"},
}


@dataclass
class Catalogue:
    """A catalogue in a folder, as its owner describes it."""

    folder: Path
    load_args: dict[str, dict[str, Any]] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    frames: dict[str, pd.DataFrame] = field(default_factory=dict)
    """Tables that are not in text files."""

    def write(self, tables: dict[str, pd.DataFrame] | None = None, **to_csv: Any) -> "Catalogue":
        """Write the plain shop, or other tables, as text files."""
        for name, table in ({} | shop() | (tables or {})).items():
            table.to_csv(self.folder / f"{name}.csv", index=False, **to_csv)
        return self

    def load(self, **load_args: Any) -> "Catalogue":
        """Read all files with these arguments."""
        self.load_args = dict.fromkeys(COLUMNS, load_args)
        return self

    def edit(self, name: str, change) -> "Catalogue":
        """Change the text of a file."""
        path = self.folder / f"{name}.csv"
        path.write_bytes(change(path.read_bytes()))
        return self

    def clean(self):
        """Read and clean; check that every row is accounted for."""
        raw = {
            name: self.frames[name]
            if name in self.frames
            else read_text_table(self.folder / f"{name}.csv", self.load_args.get(name, {}))
            for name in ("interactions", "items", "users")
        }
        options = DataProcessingOptions.model_validate({"columns": COLUMNS, "cleaning": self.options})
        report = QualityReport()
        tables = clean(raw, options.columns, options.cleaning, report)
        accounts = report.accounts().set_index("table")
        assert (accounts["rows_in"] == accounts["skipped"] + accounts["dropped"] + accounts["kept"]).all()
        for name in accounts.index:
            assert accounts.loc[name, "kept"] == len(getattr(tables, name)), name
        return tables, report.to_frame(), accounts


@pytest.fixture
def catalogue(tmp_path):
    return Catalogue(tmp_path)


def ids(values):
    return [str(value) for value in values]


def assert_plain(tables, interactions=None, items=None):
    """The tables say what the plain shop says."""
    plain = shop()
    rows = plain["interactions"] if interactions is None else interactions
    assert tables.interactions["user_id"].tolist() == ids(rows["user"])
    assert tables.interactions["item_id"].tolist() == ids(rows["item"])
    assert tables.interactions["timestamp"].tolist() == rows["time"].astype(float).tolist()
    assert tables.interactions["value"].tolist() == rows["stars"].astype(float).tolist()
    things = plain["items"] if items is None else items
    assert tables.items["item_id"].tolist() == ids(things["item"])
    assert tables.items["title"].tolist() == things["name"].tolist()
    assert tables.users["user_id"].tolist() == ids(plain["users"]["user"])
    assert [int(age) for age in tables.users["age"]] == plain["users"]["age"].tolist()


def test_the_plain_shop(catalogue):
    tables, report, accounts = catalogue.write().clean()
    assert_plain(tables)
    assert report.empty
    assert accounts["rows_in"].tolist() == [N_ITEMS, N_USERS, len(shop()["interactions"])]


def test_byte_order_mark_and_windows_line_ends(catalogue):
    assert_plain(catalogue.write(encoding="utf-8-sig", lineterminator="\r\n").clean()[0])


def test_another_encoding(catalogue):
    items = shop()["items"].query("name not in ['שלום', '千と千尋', 'مرحبا', 'Cake 🍰', 'Ω']")
    pairs = shop()["interactions"].query("item in @items['item']")
    catalogue.write({"items": items, "interactions": pairs}, encoding="latin-1")
    with pytest.raises(
        BadInputError, match=r"items.csv is not encoded in utf-8-sig .*load_args: \{encoding: latin-1\}"
    ):
        catalogue.clean()
    catalogue.load_args["items"] = {"encoding": "latin-1"}
    assert_plain(catalogue.clean()[0], pairs, items)


def test_another_separator(catalogue):
    catalogue.write(sep=";")
    with pytest.raises(
        BadInputError, match=r"raw_items has no column 'item' .* as one column: set load_args: \{sep: ';'\}"
    ):
        catalogue.clean()
    catalogue.load(sep=";")
    assert_plain(catalogue.clean()[0])


@pytest.mark.parametrize("name", ["items", "interactions"])
def test_a_header_and_nothing_else(catalogue, name):
    catalogue.write().edit(name, lambda text: text.split(b"\n")[0] + b"\n")
    with pytest.raises(BadInputError, match=f"raw_{name} has no rows"):
        catalogue.clean()


def test_rows_that_end_in_a_separator(catalogue):
    def add(text):
        header, *rows = text.splitlines()
        return b"\n".join([header, *(row + b"\t" for row in rows)])

    catalogue.write(sep="\t").edit("users", add).load(sep="\t")
    tables, report, _ = catalogue.clean()
    assert_plain(tables)
    assert report["problem"].tolist() == ["every row ends in a separator that the header lacks"]


def test_rows_that_an_unescaped_separator_breaks(catalogue):
    catalogue.write(sep=";").edit("items", lambda text: text.replace(b"Salt & sugar", b"Salt &amp; sugar"))
    catalogue.load(sep=";")
    with pytest.raises(BadInputError, match=r"items.csv: Expected 3 fields in line 10, saw 4.*on_bad_lines: skip"):
        catalogue.clean()
    catalogue.load_args["items"] = {"sep": ";", "on_bad_lines": "skip"}
    tables, report, accounts = catalogue.clean()
    lost = shop()["interactions"].query("item != 108")
    assert_plain(tables, lost, shop()["items"].query("item != 108"))
    assert accounts.loc["items"].to_dict() == {"rows_in": 10, "skipped": 1, "dropped": 0, "repaired": 0, "kept": 9}
    assert report.set_index("action")["rows"].to_dict() == {
        "skipped": 1,
        "dropped": len(shop()["interactions"]) - len(lost),
    }
    assert report.set_index("action").loc["skipped", "lines"] == "10"


BIG = 2**53 + 1


def big(table, *names):
    return table.assign(**{name: BIG + 10 * (table[name] - 100) for name in names})


def test_ids_beyond_2_53_with_an_empty_cell(catalogue):
    """pandas makes floats of them, and of 12 people few."""
    plain = shop()
    empty = pd.DataFrame({"user": [None], "item": [BIG], "time": [T0], "stars": [1]}).astype({"user": "Int64"})
    rows = pd.concat([big(plain["interactions"], "user", "item").astype({"user": "Int64"}), empty])
    tables = {"interactions": rows, "items": big(plain["items"], "item"), "users": big(plain["users"], "user")}
    catalogue.write(tables)
    with pytest.raises(BadInputError, match=r"raw_interactions column 'user': \d+ was read as a float.*\{dtype: "):
        catalogue.clean()
    catalogue.load_args["interactions"] = {"dtype": {"user": str}}
    cleaned, report, _ = catalogue.clean()
    assert cleaned.interactions["user_id"].nunique() == N_USERS
    assert cleaned.interactions["user_id"].tolist() == ids(rows["user"].dropna())
    assert report["problem"].tolist() == ["missing user_id"]


@pytest.mark.parametrize(
    "of_interactions", ["int64", "float64", "Int64", "str", "object", "category", "int64[pyarrow]"]
)
@pytest.mark.parametrize("of_items", ["int64", "float64", "str", "category"])
def test_ids_of_every_type(catalogue, of_interactions, of_items):
    """1000, 1000.0 and "1000.0" are one; what types the columns of other tables have does not matter."""
    plain = shop()
    plain["interactions"] = plain["interactions"].astype({"user": of_interactions, "item": of_interactions})
    plain["items"] = plain["items"].astype({"item": "float64"}).astype({"item": of_items})
    catalogue.frames = plain
    assert_plain(catalogue.clean()[0])


def test_one_odd_id_renames_nobody_else(catalogue):
    plain = shop()
    odd = pd.DataFrame({"user": [1000.5], "item": [100], "time": [T0], "stars": [3]})
    catalogue.frames = plain | {"interactions": pd.concat([plain["interactions"], odd], ignore_index=True)}
    users = catalogue.clean()[0].interactions["user_id"]
    assert users.tolist() == [*ids(plain["interactions"]["user"]), "1000.5"]


def test_parquet_of_nullable_categorical_and_list_columns(catalogue, tmp_path):
    plain = shop()
    tables = {
        "interactions": plain["interactions"].astype({"user": "Int32", "item": "category", "stars": "Float32"}),
        "items": plain["items"].assign(kind=[[kind, "shop"] for kind in plain["items"]["kind"]]),
        "users": plain["users"].astype({"age": "Int16"}),
    }
    for name, table in tables.items():
        table.to_parquet(tmp_path / f"{name}.parquet")
        catalogue.frames[name] = pd.read_parquet(tmp_path / f"{name}.parquet")
    tables = catalogue.clean()[0]
    assert_plain(tables)
    assert list(tables.items["kind"][0]) == ["drink", "shop"]


def test_parquet_with_an_index(catalogue):
    plain = shop()
    catalogue.frames = plain | {"users": plain["users"].set_index("user")}
    assert_plain(catalogue.clean()[0])
    catalogue.frames = plain | {"users": plain["users"].sample(frac=1, random_state=0)}
    with pytest.raises(BadInputError, match="raw_users: the first column was taken for an index"):
        catalogue.clean()


TIMES = {
    "iso": lambda t: t.dt.strftime("%Y-%m-%dT%H:%M:%S"),
    "with a zone": lambda t: t.dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo").dt.strftime("%Y-%m-%d %H:%M:%S%z"),
    "day first": lambda t: t.dt.strftime("%d/%m/%Y %H:%M:%S"),
    "milliseconds": lambda t: (t.astype("datetime64[s]").astype("int64") * 1000).astype("str"),
    "nanoseconds": lambda t: (t.astype("datetime64[s]").astype("int64") * 10**9).astype("str"),
    "in words": lambda t: t.dt.strftime("%a, %d %b %Y %H:%M:%S GMT"),
}


@pytest.mark.parametrize("form", TIMES)
def test_times_in_other_forms(catalogue, form):
    plain = shop()["interactions"]
    written = plain.assign(time=TIMES[form](pd.to_datetime(plain["time"], unit="s")))
    assert_plain(catalogue.write({"interactions": written}).clean()[0])


def test_one_bad_time_is_one_bad_row(catalogue):
    plain = shop()["interactions"]
    written = plain.assign(time=TIMES["iso"](pd.to_datetime(plain["time"], unit="s")))
    written.loc[[3, 5], "time"] = ["0", None]
    tables, report, _ = catalogue.write({"interactions": written}).clean()
    assert_plain(tables, plain.drop([3, 5]))
    assert report.set_index("problem")["lines"].to_dict() == {"missing timestamp": "7", "unreadable timestamp": "5"}


def test_dates_that_are_missing(catalogue):
    plain = shop()
    times = pd.to_datetime(plain["interactions"]["time"], unit="s").mask(plain["interactions"].index == 4)
    catalogue.frames = plain | {"interactions": plain["interactions"].assign(time=times)}
    tables, report, _ = catalogue.clean()
    assert_plain(tables, plain["interactions"].drop(4))
    assert report["problem"].tolist() == ["missing timestamp"]


@pytest.mark.parametrize("form", ["{},0", "{} stars", "{}/5", "{}.0"])
def test_values_in_other_forms(catalogue, form):
    plain = shop()["interactions"]
    written = plain.assign(stars=[form.format(stars) for stars in plain["stars"]])
    tables, report, accounts = catalogue.write({"interactions": written}, sep="|").load(sep="|").clean()
    assert_plain(tables)
    repaired = 0 if form == "{}.0" else len(plain)
    assert accounts.loc["interactions", "repaired"] == repaired == report["rows"].sum()


def test_dates_where_values_should_be(catalogue):
    plain = shop()["interactions"]
    written = plain.assign(stars=TIMES["iso"](pd.to_datetime(plain["time"], unit="s")))
    catalogue.options = {"implicit_threshold": 4}
    with pytest.raises(BadInputError, match=r"(?s)100% of the rows.*unreadable value.*2014-05-13T"):
        catalogue.write({"interactions": written}).clean()


def test_what_was_rated_again(catalogue):
    plain = shop()["interactions"]
    again = plain.head(2).assign(time=plain["time"].max() + 60, stars=[1, 5])
    catalogue.options = {"implicit_threshold": 4}
    tables, report, _ = catalogue.write({"interactions": pd.concat([plain, again])}).clean()
    pairs = list(zip(tables.interactions["user_id"], tables.interactions["item_id"], strict=True))
    first, second = (tuple(ids(plain.loc[row, ["user", "item"]])) for row in (0, 1))
    assert first not in pairs
    assert second in pairs
    assert report["problem"].tolist() == [
        "repeated (user_id, item_id) (the latest is kept)",
        "value below 4: not a positive",
        "items without interactions (they are recommended by their texts)",
    ]


def test_a_users_table_of_other_people(catalogue):
    others = shop()["users"].assign(user=lambda t: "u" + t["user"].astype(str))
    with pytest.raises(
        BadInputError, match=r"No user_id of the interactions \(100, 101, 102, …\) .* \(u100, u101, u102, …\)"
    ):
        catalogue.write({"users": others}).clean()


def test_an_items_table_of_other_things(catalogue):
    others = shop()["items"].assign(item=lambda t: t["item"] + 1000)
    with pytest.raises(
        BadInputError, match=r"No item_id of raw_interactions \(100, 101, 104, …\) .* \(1100, 1101, 1102, …\)"
    ):
        catalogue.write({"items": others}).clean()


def test_titles_that_were_damaged(catalogue):
    items = shop()["items"]
    damaged = items.assign(
        name=[
            title.encode().decode("cp1252", errors="replace") if title == "Müsli" else f"<b>{title}</b>"
            for title in items["name"]
        ]
    )
    tables, report, _ = catalogue.write({"items": damaged}).clean()
    assert tables.items["title"].tolist() == damaged["name"].tolist()
    assert report.set_index("problem")["rows"].to_dict() == {
        "title with HTML tags": 9,
        "title with a wrong encoding": 1,
    }
    catalogue.options = {"repair_texts": True}
    tables, report, accounts = catalogue.clean()
    assert_plain(tables)
    assert accounts.loc["items", "repaired"] == N_ITEMS


def test_a_thing_under_two_ids(catalogue):
    items = shop()["items"].assign(name=lambda t: t["name"] + " (1999)")
    items.loc[7, "name"] = items.loc[2, "name"]
    catalogue.options = {"merge_duplicate_items": True}
    tables, report, _ = catalogue.write({"items": items}).clean()
    expected = shop()["interactions"].assign(item=lambda t: t["item"].replace(107, 102))
    assert set(zip(tables.interactions["user_id"], tables.interactions["item_id"], strict=True)) == set(
        zip(ids(expected["user"]), ids(expected["item"]), strict=True)
    )
    assert "107" not in tables.items["item_id"].tolist()
    assert report.set_index("problem").loc["the title and year of an earlier item", "lines"] == "9"


def few(**keep):
    rows = shop()["interactions"]
    for name, values in keep.items():
        rows = rows[rows[name].isin(values)]
    return rows


@pytest.mark.parametrize(
    ("rows", "split", "words"),
    [
        (few(user=[100]), {}, "Too little data: no row falls into"),
        (few(item=[100]), {}, "Too little data: no row falls into"),
        (shop()["interactions"].groupby("user").head(1), {}, "Too little data: no row falls into"),
        (shop()["interactions"], {"cold_items": 0.99}, "Too little data"),
        (shop()["interactions"], {"new_users": 0.99}, "Too little data"),
    ],
    ids=["one person", "one thing", "one row each", "all cold", "all new"],
)
def test_too_little_is_said_at_once(catalogue, rows, split, words):
    tables = catalogue.write({"interactions": rows}).clean()[0]
    options = DataProcessingOptions.model_validate({"split": split}).split
    with pytest.raises(BadInputError, match=words):
        split_interactions(tables.interactions, options, 0)
