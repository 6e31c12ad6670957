import bz2
import csv
import gzip
import lzma

import pytest

from tailor.errors import BadInputError
from tailor.onboarding.text_format import guess_encoding, guess_format, read_first_rows, read_head


def args_of(text: str) -> dict:
    return guess_format(text, "utf-8", "file.csv").load_args()


def rows_of(path, data):
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return read_first_rows(path)


@pytest.mark.parametrize("separator", ["\t", ";", "|", "^", " "])
def test_any_separator(separator):
    lines = ["user,item,rating", "u1,i1,4", "u2,i2,5"]
    assert args_of("\n".join(lines).replace(",", separator)) == {"sep": separator}


def test_a_comma_needs_no_argument_though_times_hold_colons():
    assert args_of("user,time\nu1,2020-01-01 10:11:12\nu2,2020-01-01 10:11:13\n") == {}


def test_decimal_commas_are_no_separators():
    assert args_of("user;item;rating\nu1;i1;4,5\nu2;i2;3,0\n") == {"sep": ";"}


def test_a_single_column_is_a_table_too():
    assert args_of("title\nTea\nCup\n") == {}


def test_quotes_hold_separators_and_line_breaks(tmp_path):
    rows, form, _, _ = rows_of(tmp_path / "a.csv", 'id,title\n1,"Tea, green"\n2,"Cup\nof tea"\n')
    assert form.load_args() == {}
    assert rows["title"].tolist() == ["Tea, green", "Cup\nof tea"]


def test_quotes_that_are_letters(tmp_path):
    lines = ["id\ttitle", '1\t5" nail', '2\t"Tea and more', '3\t7" nail', "4\tplain"]
    rows, form, _, _ = rows_of(tmp_path / "a.tsv", "\n".join(lines))
    assert form.load_args() == {"sep": "\t", "quoting": csv.QUOTE_NONE}
    assert rows["title"].tolist() == ['5" nail', '"Tea and more', '7" nail', "plain"]


def test_quotes_behind_a_backslash(tmp_path):
    rows, form, _, _ = rows_of(tmp_path / "a.csv", 'id,title\n1,"a \\"b, c\\" d"\n2,"e \\"f, g\\""\n3,"h, \\"i\\""\n')
    assert form.load_args() == {"escapechar": "\\"}
    assert rows["title"].tolist() == ['a "b, c" d', 'e "f, g"', 'h, "i"']


def test_rows_that_end_in_a_separator(tmp_path):
    rows, form, _, _ = rows_of(tmp_path / "a.tsv", "user\titem\nu1\ti1\t\nu2\ti2\t\n")
    assert form.load_args() == {"sep": "\t", "index_col": False}
    assert rows.to_dict("list") == {"user": ["u1", "u2"], "item": ["i1", "i2"]}


def test_rows_with_names_before_the_first_column(tmp_path):
    rows, form, _, _ = rows_of(tmp_path / "a.csv", "user,item\n1,u1,i1\n2,u2,i2\n")
    assert form.load_args() == {"header": 0, "names": ["row_name", "user", "item"]}
    assert rows["user"].tolist() == ["u1", "u2"]


def test_a_file_without_names(tmp_path):
    rows, form, _, _ = rows_of(tmp_path / "u.data", "196\t242\t3\t881250949\n186\t302\t3\t891717742\n")
    assert form.load_args() == {"sep": "\t", "header": None, "names": ["column_1", "column_2", "column_3", "column_4"]}
    assert rows["column_1"].tolist() == ["196", "186"]


def test_a_file_of_words_without_names():
    assert args_of("anna;tea\nanna;cup\nbert;tea\n") == {"sep": ";", "header": None, "names": ["column_1", "column_2"]}


def test_two_characters_as_separator_are_refused_with_a_remedy():
    with pytest.raises(BadInputError, match=r"ratings.dat: the separator '::' has two characters.*sed 's/::/\\t/g'"):
        guess_format("1::1193::5\n1::661::3\n", "utf-8", "ratings.dat")


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [("utf-8", "utf-8"), ("utf-8-sig", "utf-8-sig"), ("latin-1", "latin-1"), ("utf-16", "utf-16")],
)
def test_encodings(encoding, expected):
    assert guess_encoding("id,name\n1,Müller\n2,Zoë\n".encode(encoding)) == expected


def test_marks_of_windows_are_cp1252():
    assert guess_encoding("id,price\n1,5 €\n2,“tea”\n".encode("cp1252")) == "cp1252"


def test_other_alphabets_are_not_read_as_western():
    text = "номер,название\n1,Война и мир роман в четырёх томах\n2,Преступление и наказание роман\n"
    assert text.encode("cp1251").decode(guess_encoding(text.encode("cp1251"))) == text


def test_bytes_that_end_within_a_character_are_utf_8():
    assert guess_encoding("name\nMüller\nMü".encode()[:-1]) == "utf-8"


def test_encoded_cells_are_read(tmp_path):
    rows, form, _, _ = rows_of(tmp_path / "a.csv", "id;name\n1;Müller\n".encode("utf-16"))
    assert form.load_args() == {"encoding": "utf-16", "sep": ";"}
    assert rows["name"].tolist() == ["Müller"]


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_packed_files(tmp_path, pack):
    rows, _, head, _ = rows_of(tmp_path / "a.csv.packed", pack(b"user,item\nu1,i1\n"))
    assert rows.to_dict("list") == {"user": ["u1"], "item": ["i1"]}
    assert head.share == 1.0


def test_a_long_file_is_read_to_a_bound_and_its_length_is_estimated(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("user,item\n" + "u1,i1\n" * 10_000)
    head = read_head(path, max_rows=999)
    assert head.data.count(b"\n") == 1_000
    assert head.share == pytest.approx((10 + 6 * 999) / (10 + 6 * 10_000))
    assert read_head(path, max_bytes=600).data.count(b"\n") < 110


def test_a_file_that_is_cut_within_quotes_keeps_whole_records(tmp_path, monkeypatch):
    path = tmp_path / "a.csv"
    path.write_text('id,text\n1,"one"\n2,"two\nlines"\n3,"three"\n')
    monkeypatch.setattr("tailor.onboarding.text_format.read_head", lambda path: read_head(path, max_rows=2))
    rows, _, _, bad = read_first_rows(path)
    assert rows["id"].tolist() == ["1"] and bad == 0


def test_lines_with_too_many_fields_are_counted(tmp_path):
    rows, _, _, bad = rows_of(tmp_path / "a.csv", "user,item\n" + "u,i\n" * 30 + "u,i,extra,more\n" * 2)
    assert len(rows) == 30 and bad == 2


def test_what_is_no_text_file_is_refused(tmp_path):
    (tmp_path / "empty.csv").write_text(" \n")
    with pytest.raises(BadInputError, match=r"empty.csv is empty"):
        read_first_rows(tmp_path / "empty.csv")
    (tmp_path / "a.bin").write_bytes(b"a,b\x00\x01\n" * 5)
    with pytest.raises(BadInputError, match=r"a.bin is no text file"):
        read_first_rows(tmp_path / "a.bin")
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"a,b\n1,2\n" * 1000)[:30])
    with pytest.raises(BadInputError, match=r"a.csv.gz cannot be read"):
        read_first_rows(tmp_path / "a.csv.gz")
