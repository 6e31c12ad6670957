"""Building the tables of the Amazon catalogues from sequences and titles: planted files."""

import gzip
import json
import sys
from pathlib import Path

import pandas as pd
import pytest

from tailor.data.config import SplitOptions
from tailor.data.split import label_interactions
from tailor.errors import BadInputError

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
import build_amazon

#: Two users who take the numbered items 1 to 4, and one with too few rows for a test.
LINES = "1 1 2 3 4\n2 4 1 2\n3 1 3\n"
ROWS = [
    ("1", "a1", 1, "train"),
    ("1", "b2", 2, "train"),
    ("1", "c3", 3, "validation"),
    ("1", "d4", 4, "test"),
    ("2", "d4", 1, "train"),
    ("2", "a1", 2, "validation"),
    ("2", "b2", 3, "test"),
    ("3", "a1", 1, "train"),
    ("3", "c3", 2, "train"),
]


@pytest.fixture
def files(tmp_path):
    sequences, ids, titles = tmp_path / "Few.txt", tmp_path / "ids.json", tmp_path / "meta.json.gz"
    sequences.write_text(LINES)
    ids.write_text(json.dumps({"a1": 1, "b2": 2, "c3": 3, "d4": 4}))
    objects = ['{"asin": "a1", "title": "Soap \\"A\\""}', "{'asin': 'b2', 'title': \"Bath's salt\"}", "{'asin': 'c3'}"]
    with gzip.open(titles, "wt") as file:
        file.write("\n".join([*objects, '{"asin": "zz", "title": "of no row"}']))
    known = build_amazon.Catalogue(build_amazon.sha256(sequences), users=3, items=4, interactions=9)
    return sequences, titles, tmp_path / "raw", known, ids


def test_rows_keep_their_order_and_the_last_two_are_held_out(files):
    hashes = build_amazon.build(*files)
    rows = pd.read_csv(files[2] / "interactions.csv.gz", dtype={"user_id": str})
    assert list(rows.itertuples(index=False, name=None)) == ROWS
    items = pd.read_csv(files[2] / "items.csv.gz", keep_default_na=False)
    assert dict(zip(items["item_id"], items["title"], strict=True)) == {
        "a1": 'Soap "A"',
        "b2": "Bath's salt",
        "c3": "",
        "d4": "",
    }
    assert hashes["titles"] == {"missing": "2"}
    assert hashes["read"].keys() == {"Few.txt", "meta.json.gz", "ids.json"}
    assert hashes == build_amazon.build(*files)


def test_the_labels_are_those_of_leave_one_out(files):
    rows = build_amazon.read_sequences(files[0])
    labels = label_interactions(rows.drop(columns="split"), SplitOptions(strategy="leave_one_out"), 0)
    assert labels.tolist() == rows["split"].tolist()


def test_tables_that_are_there_are_checked(files):
    """Of users 1 and 2 the test items are d4, which 2 has in train, and b2, which 1 has in train."""
    _, _, folder, known, _ = files
    build_amazon.build(*files)
    assert build_amazon.check(folder, known) == {"users": 2, "known": 2, "warm": 2}
    path = folder / "interactions.csv.gz"
    rows = pd.read_csv(path, dtype={"user_id": str})
    rows.loc[8, "item_id"] = "b2"
    rows.loc[6, "item_id"] = "c3"  # in validation alone now
    rows.to_csv(path, index=False)
    assert build_amazon.check(folder, known) == {"users": 2, "known": 2, "warm": 1}
    rows.loc[2, "item_id"] = "b2"  # and now nowhere else
    rows.to_csv(path, index=False)
    assert build_amazon.check(folder, known) == {"users": 2, "known": 1, "warm": 1}
    rows.assign(timestamp=-rows["timestamp"]).to_csv(path, index=False)
    with pytest.raises(BadInputError, match="leave_one_out labels 6 rows otherwise than the column 'split'"):
        build_amazon.check(folder, known)
    rows.iloc[1:].to_csv(path, index=False)
    with pytest.raises(BadInputError, match="has 3 users, 4 items with an id and 8 rows, expected are 3, 4 and 9"):
        build_amazon.check(folder, known)


def test_titles_may_be_a_table_with_the_ids_of_the_sequences(files, tmp_path):
    sequences, _, folder, known, _ = files
    table = tmp_path / "titles.csv"
    table.write_text("item_id,title\n1,Soap\n4,Salt\n")
    build_amazon.build(sequences, table, folder, known)
    assert pd.read_csv(folder / "items.csv.gz", keep_default_na=False)["title"].tolist() == ["Soap", "", "", "Salt"]


def test_another_file_is_refused_before_anything_is_written(files):
    sequences, titles, folder, known, ids = files
    sequences.write_text(LINES + "4 1 2 3\n")
    with pytest.raises(BadInputError, match=rf"is not the file of S3-Rec: its SHA-256 is \w+, not {known.sha256}"):
        build_amazon.build(sequences, titles, folder, known, ids)
    assert not folder.exists()


def test_ids_of_another_catalogue_are_refused(files):
    sequences, titles, folder, known, ids = files
    ids.write_text(json.dumps({"a1": 1, "b2": 2, "c3": 3}))
    with pytest.raises(BadInputError, match="has 3 users, 3 items with an id and 9 rows, expected are 3, 4 and 9"):
        build_amazon.build(sequences, titles, folder, known, ids)
    with pytest.raises(BadInputError, match=r"has a title of none of the 4 items: give their ids by --item-ids\."):
        build_amazon.build(sequences, titles, folder, known)
