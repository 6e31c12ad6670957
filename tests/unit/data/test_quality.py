"""Rows in = skipped + dropped + kept, to the row."""

import pandas as pd

from tailor.data.quality import EXAMPLES, QualityReport
from tailor.data.reading import REPAIRED, SKIPPED


def raw(n=6, **attrs):
    frame = pd.DataFrame({"a": range(n)}, index=pd.RangeIndex(2, n + 2, name="line"))
    frame.attrs |= attrs
    return frame


def mark(frame, *lines):
    return pd.Series(frame.index.isin(lines), index=frame.index)


def test_every_row_is_accounted_for():
    report, frame = QualityReport(), raw(**{SKIPPED: [(9, "expected 1 fields, saw 2")]})
    report.open("items", frame)
    report.add("items", "commas", mark(frame, 2, 3), "repaired", frame["a"])
    report.add("items", "blanks", mark(frame, 3, 4), "repaired", frame["a"])
    report.add("items", "broken", mark(frame, 4, 7), "dropped", frame["a"])
    report.add("items", "odd", mark(frame, 2), "noticed")
    account = report.accounts().to_dict("records")
    # 2, 3 and 4 were repaired, 4 was dropped all the same
    assert account == [{"table": "items", "rows_in": 7, "skipped": 1, "dropped": 2, "repaired": 2, "kept": 4}]
    table = report.to_frame()
    assert table["action"].tolist() == ["skipped", "repaired", "repaired", "dropped", "noticed"]
    assert table["rows"].tolist() == [1, 2, 2, 2, 1]
    assert table["lines"].tolist() == ["9", "2, 3", "3, 4", "4, 7", "2"]
    assert table["examples"].tolist() == ["expected 1 fields, saw 2", "0; 1", "1; 2", "2; 5", ""]


def test_nothing_is_recorded_where_nothing_was():
    report, frame = QualityReport(), raw()
    report.open("items", frame)
    report.add("items", "commas", mark(frame), "repaired")
    report.note("items", "idle", 0)
    assert report.to_frame().empty
    assert report.accounts()["kept"].tolist() == [6]
    assert QualityReport().accounts().empty


def test_a_repair_of_the_whole_file_is_told():
    report = QualityReport()
    report.open("users", raw(**{REPAIRED: "every row ends in a separator"}))
    assert report.to_frame()[["problem", "action", "rows"]].to_numpy().tolist() == [
        ["every row ends in a separator", "repaired", 6]
    ]


def test_few_examples_and_short_ones():
    report, frame = QualityReport(), raw(20)
    report.open("items", frame)
    report.add("items", "long", mark(frame, *range(30)), "noticed", pd.Series("x" * 100, index=frame.index))
    row = report.to_frame().iloc[0]
    assert len(row["lines"].split(", ")) == len(row["examples"].split("; ")) == EXAMPLES
    assert row["examples"].split("; ")[0] == "x" * 59 + "…"
