"""Text tables: every row knows its line, and what a reader skips is counted."""

import csv
import gzip

import pandas as pd
import pytest

from tailor.data.reading import LINE, REPAIRED, SKIPPED, read_text_table
from tailor.errors import BadInputError


@pytest.fixture
def table(tmp_path):
    def read(content, name="t.csv", **load_args):
        path = tmp_path / name
        raw = content.encode() if isinstance(content, str) else content
        path.write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
        return read_text_table(path, load_args)

    return read


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz"])
@pytest.mark.parametrize("end", ["\n", "\r\n", ""])
def test_rows_know_their_lines(table, name, end):
    frame = table("a,b\n1,x\n2,y" + end, name)
    assert frame.index.name == LINE
    assert frame.index.tolist() == [2, 3]
    assert frame.to_dict("list") == {"a": [1, 2], "b": ["x", "y"]}
    assert frame.attrs == {SKIPPED: []}


def test_windows_line_ends(table):
    assert table("a,b\r\n1,x\r\n2,y\r\n").index.tolist() == [2, 3]


def test_line_breaks_in_quotes_and_blank_lines(table):
    frame = table('a,b\n1,"two\nlines"\n\n2,y\n')
    assert frame["b"].tolist() == ["two\nlines", "y"]
    assert frame.index.tolist() == [3, 5]  # the lines on which the rows end


def test_a_table_without_header_begins_on_line_1(table):
    assert table("1,x\n2,y\n", header=None, names=["a", "b"]).index.tolist() == [1, 2]


def test_skipped_lines_are_counted_with_the_reason(table):
    frame = table("a\tb\n1\tx\n2\ty\tz\n3\tw\n", sep="\t", on_bad_lines="skip", quoting=csv.QUOTE_NONE)
    assert frame["a"].tolist() == [1, 3]
    assert frame.index.tolist() == [2, 4]
    assert frame.attrs[SKIPPED] == [(3, "expected 2 fields, saw 3")]


def test_a_line_of_too_many_fields_is_named_with_the_remedy(table, tmp_path):
    with pytest.raises(BadInputError, match=r"t.csv: Expected 2 fields in line 3, saw 3\. Look .*on_bad_lines: skip"):
        table("a,b\n1,x\n2,y,z\n")


def test_rows_that_end_in_a_separator_keep_their_columns(table):
    frame = table("user\titem\n7\tx\t\n8\ty\t\n", sep="\t")
    assert frame.to_dict("list") == {"user": [7, 8], "item": ["x", "y"]}
    assert frame.attrs[REPAIRED] == "every row ends in a separator that the header lacks"
    assert frame.index.tolist() == [2, 3]


def test_rows_of_more_fields_than_the_header_are_refused(table):
    with pytest.raises(BadInputError, match=r"t.csv: rows have more fields than the 2 that the header names\."):
        table("user,item\n7,x,usa\n8,y,usa\n")
    with pytest.raises(BadInputError, match="rows have more fields than the 1 that"):
        table("user\n7,x,usa\n8,y,usa\n")


def test_an_index_that_is_asked_for_is_one(table):
    assert table("a,b\n1,x\n", index_col=False).to_dict("list") == {"a": [1], "b": ["x"]}


def test_byte_order_marks_and_encodings(table):
    assert table("\ufeffa,b\n1,x\n").columns.tolist() == ["a", "b"]
    assert table("a,b\n1,é\n".encode("latin-1"), encoding="latin-1")["b"].tolist() == ["é"]
    with pytest.raises(BadInputError, match=r"not encoded in utf-8-sig \(byte 6\).*encoding: latin-1"):
        table("a,b\n1,é\n".encode("latin-1"))


def test_an_empty_file(table):
    with pytest.raises(BadInputError, match=r"t.csv is empty"):
        table("")


def test_a_broken_archive(tmp_path):
    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress(b"a,b\n" * 1000)[:30])
    with pytest.raises(BadInputError, match=r"t.csv.gz cannot be read"):
        read_text_table(path, {})


def test_errors_call_a_copy_by_its_own_name(tmp_path):
    path = tmp_path / "copy.csv"
    path.write_text("")
    with pytest.raises(BadInputError, match=r"^s3://shop/items.csv is empty"):
        read_text_table(path, {}, "s3://shop/items.csv")


def test_what_pandas_is_told_it_is_told(table):
    frame = table("a;b\n1;2,5\n", sep=";", decimal=",", dtype={"a": str})
    assert frame.to_dict("list") == {"a": ["1"], "b": [2.5]}
    assert pd.api.types.is_float_dtype(frame["b"])


def test_only_an_empty_cell_is_missing(table):
    frame = table("a,b\nNA,1\nnull,\nnan,3\n")
    assert frame["a"].tolist() == ["NA", "null", "nan"]
    assert frame["b"].isna().tolist() == [False, True, False]
    assert table("a,b\nNA,1\n-,2\n", na_values=["-"])["a"].isna().tolist() == [True, True]
