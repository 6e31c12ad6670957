import importlib.util
import sys
from functools import partial

import pandas as pd
import pytest

from tailor.errors import BadInputError
from tailor.onboarding import tables, text_format
from tailor.onboarding.tables import PARQUET, TEXT, read_table, table_files


def test_a_text_file(tmp_path):
    (tmp_path / "a.csv").write_text("user;item\n007;i1\n")
    table = read_table(tmp_path / "a.csv")
    assert (table.dataset, table.load_args, table.n_rows, table.whole) == (TEXT, {"sep": ";"}, 1, True)
    assert table.columns["user"].distinct == {"007"}
    assert table.size == "1 rows"


def test_a_long_text_file_is_not_read_to_its_end(tmp_path, monkeypatch):
    monkeypatch.setattr(text_format, "read_head", partial(text_format.read_head, max_bytes=6_000))
    (tmp_path / "a.csv").write_text("user,item\n" + "u1,i1\n" * 100_000)
    table = read_table(tmp_path / "a.csv")
    assert not table.whole
    assert len(table.rows) < 1_100
    assert table.n_rows == pytest.approx(100_000, rel=0.01)
    assert table.size == f"about 100,000 rows, the first {len(table.rows):,} of which were looked at"


def test_parquet_with_whole_numbers_and_gaps(tmp_path):
    frame = pd.DataFrame({"member": pd.array([1, None, 3], dtype="Int64"), "tags": [["a"], ["b"], []]})
    frame.to_parquet(tmp_path / "a.parquet")
    table = read_table(tmp_path / "a.parquet")
    assert (table.dataset, table.n_rows, table.whole) == (PARQUET, 3, True)
    assert table.columns["member"].distinct == {"1", "3"}
    assert table.columns["tags"].kind == "list"


def test_a_folder_of_parquet_files_is_one_table(tmp_path):
    folder = tmp_path / "events"
    folder.mkdir()
    for part in range(2):
        pd.DataFrame({"user": [part]}).to_parquet(folder / f"part-{part}.parquet")
    assert read_table(folder).n_rows == 2


def test_parquet_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "MAX_ROWS", 10)
    pd.DataFrame({"user": range(100)}).to_parquet(tmp_path / "a.parquet")
    table = read_table(tmp_path / "a.parquet")
    assert (len(table.rows), table.n_rows, table.whole) == (10, 100, False)


def test_excel_without_its_reader_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    (tmp_path / "a.xlsx").write_bytes(b"PK\x03\x04")
    with pytest.raises(BadInputError, match=r"a.xlsx is an Excel file, which openpyxl reads.*pip install openpyxl"):
        read_table(tmp_path / "a.xlsx")


@pytest.mark.skipif(importlib.util.find_spec("openpyxl") is None, reason="openpyxl is not installed")
def test_excel(tmp_path):
    pd.DataFrame({"user": ["u1"], "item": [3]}).to_excel(tmp_path / "a.xlsx", index=False)
    table = read_table(tmp_path / "a.xlsx")
    assert table.dataset == "pandas.ExcelDataset"
    assert table.columns["item"].distinct == {"3"}


def test_what_cannot_be_read_is_named(tmp_path):
    (tmp_path / "ratings.csv").write_text("user,item\n")
    with pytest.raises(BadInputError, match=r"ratings.csv has no rows below its line of names"):
        read_table(tmp_path / "ratings.csv")
    with pytest.raises(BadInputError, match=r"There is no file .*rating.csv. Did you mean 'ratings.csv'\?"):
        read_table(tmp_path / "rating.csv")
    with pytest.raises(BadInputError, match=r"is a folder without Parquet files"):
        read_table(tmp_path)
    (tmp_path / "a.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(BadInputError, match=r"a.parquet is no Parquet that can be read"):
        read_table(tmp_path / "a.parquet")


def test_the_tables_of_a_folder(tmp_path):
    for name in ("a.csv", "b.tsv.gz", "c.parquet", "d.xlsx", "e.py", ".f.csv", "g.jpg"):
        (tmp_path / name).write_text("x")
    assert [path.name for path in table_files(tmp_path)] == ["a.csv", "b.tsv.gz", "c.parquet", "d.xlsx"]
    with pytest.raises(BadInputError, match="There is no folder"):
        table_files(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInputError, match="holds no CSV, TSV, Parquet or Excel file"):
        table_files(tmp_path / "empty")
