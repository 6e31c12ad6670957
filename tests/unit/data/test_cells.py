"""Ids, numbers and times are read cell by cell, whatever the dtype of their column."""

import datetime as dt
import decimal
import uuid

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailor.data.cells import read_id, read_ids, read_numbers, read_times
from tailor.errors import BadInputError

WHERE = "raw_items column 'id'"
DAY = 24 * 3600.0


def ids(values, **kwargs):
    return [None if pd.isna(cell) else cell for cell in read_ids(pd.Series(values, **kwargs), WHERE)]


class TestIds:
    @pytest.mark.parametrize(
        ("raw", "expected"),
        [
            (pd.Series([1, 2]), ["1", "2"]),
            (pd.Series([1.0, np.nan]), ["1", None]),
            (pd.Series([1.5, 2.0]), ["1.5", "2"]),
            (pd.Series([" x ", ""]), ["x", None]),
            (pd.Series(["007", "7", "7.0", "7.00", "7.01"]), ["007", "7", "7", "7", "7.01"]),
            (pd.Series([1000, "1000", "1000.0", 1000.0, decimal.Decimal("1000.0")], dtype=object), ["1000"] * 5),
            (pd.Series([1, True, 1.0], dtype=object), ["1", "True", "1"]),
            (pd.Series([2**53 + 1, None], dtype="Int64"), ["9007199254740993", None]),
            (pd.Series([2**53 + 1, None], dtype=object), ["9007199254740993", None]),
            (pd.Series(["9007199254740993.0"]), ["9007199254740993"]),
            (pd.Series(["a", None, "b"], dtype="category"), ["a", None, "b"]),
            (pd.Series([3.0, 4.0, 3.0], dtype="category"), ["3", "4", "3"]),
            (pd.Series([b"caf\xc3\xa9"], dtype=object), ["café"]),
            (pd.Series([uuid.UUID(int=1)], dtype=object), ["00000000-0000-0000-0000-000000000001"]),
            (pd.Series([0.1, 16777214.0], dtype="float32"), ["0.1", "16777214"]),
            (pd.Series([np.inf, 1.0]), [None, "1"]),
            (pd.Series([np.inf, "x"], dtype=object), [None, "x"]),
            (pd.Series([None, None], dtype=object), [None, None]),
        ],
    )
    def test_cell_by_cell(self, raw, expected):
        assert ids(raw) == expected
        assert read_ids(raw, WHERE).index.equals(raw.index)

    @pytest.mark.parametrize(
        "raw",
        [
            pd.Series([2.0**53, np.nan]),
            pd.Series([2.0**53, None], dtype="Float64"),
            pd.Series([2.0**53, "a"], dtype=object),
            pd.Series([2.0**24], dtype="float32"),
            pd.Series([-(2.0**60)]),
        ],
    )
    def test_floats_that_have_lost_digits_are_refused_with_the_remedy(self, raw):
        with pytest.raises(
            BadInputError, match=r"raw_items column 'id': -?\d+ was read as a float.*dtype: \{COLUMN: str\}"
        ):
            read_ids(raw, WHERE)

    @pytest.mark.parametrize("cell", [["a"], ("a",), {"a": 1}, np.array([1, 2])])
    def test_what_is_no_single_value_is_refused(self, cell):
        with pytest.raises(BadInputError, match=r"raw_items column 'id': .* is no single value"):
            read_ids(pd.Series(["x", cell], dtype=object), WHERE)

    @given(st.lists(st.one_of(st.integers(-(2**52), 2**52), st.floats(-1e15, 1e15), st.none(), st.text(max_size=4))))
    def test_any_mix_of_types_gives_the_ids_of_its_text_forms(self, cells):
        """Python writes a float as it reads it: 1000.0, whose point and zero are not part of an id."""
        cells = [cell for cell in cells if not isinstance(cell, float) or "e" not in str(cell)]
        mixed = ids(cells, dtype=object)
        assert mixed == ids([None if cell is None else str(cell) for cell in cells], dtype=object)
        assert mixed == [read_id(cell, WHERE) for cell in cells]

    @given(st.lists(st.one_of(st.integers(0, 2**31 - 1), st.none())))
    def test_every_dtype_gives_the_same_ids(self, cells):
        expected = [None if cell is None else str(cell) for cell in cells]
        for dtype in ("Int64", "float64", "Float64", object, "int64[pyarrow]"):
            assert ids(cells, dtype=dtype) == expected, dtype
        assert ids(pd.Series(cells, dtype="Int64").astype("category")) == expected


class TestNumbers:
    @pytest.mark.parametrize(
        ("cells", "expected", "form"),
        [
            (["4.5", "3"], [4.5, 3.0], None),
            ([4, None], [4.0, None], None),
            ([4.5, np.inf], [4.5, None], None),
            (["4,5", "3"], [4.5, 3.0], "commas"),
            (["1,250", "1,234.5"], [1250.0, 1234.5], "commas"),
            (["1,250", "3,5"], [1.25, 3.5], "commas"),
            (["1,250", "3"], [None, 3.0], None),
            (["5 stars", "1 star"], [5.0, 1.0], "words behind the number"),
            (["4/5", "2.5/5"], [4.0, 2.5], "words behind the number"),
            (["4 out of 5 stars", "3 out of 5 stars"], [4.0, 3.0], "words behind the number"),
            (["5 stars", "3 days"], [None, None], None),
            (["2014-05-03", "4"], [None, 4.0], None),
            (["much", "", None], [None, None, None], None),
        ],
    )
    def test_forms(self, cells, expected, form):
        read = read_numbers(pd.Series(cells))
        assert [None if pd.isna(cell) else cell for cell in read.cells] == expected
        assert list(read.notes) == ([form] if form else [])

    def test_notes_mark_the_cells(self):
        read = read_numbers(pd.Series(["4,5", "3", "x"], index=[2, 3, 4]))
        assert read.notes["commas"].to_dict() == {2: True, 3: False, 4: False}

    def test_dates_are_no_numbers(self):
        assert read_numbers(pd.to_datetime(pd.Series(["2014-05-03"]))).cells.isna().all()


SECOND = 1_400_000_000


class TestTimes:
    @pytest.mark.parametrize(("unit", "factor"), [("s", 1), ("ms", 10**3), ("µs", 10**6), ("ns", 10**9)])
    def test_units_are_inferred_and_told(self, unit, factor):
        read = read_times(pd.Series([SECOND * factor, (SECOND + 60) * factor, None], dtype="Int64"), WHERE)
        assert read.unit == unit
        np.testing.assert_allclose(read.cells[:2], [SECOND, SECOND + 60], rtol=1e-12)
        assert pd.isna(read.cells[2])

    def test_a_cell_in_another_unit_than_most_is_unreadable(self):
        read = read_times(pd.Series([SECOND, SECOND, SECOND, SECOND * 10**3]), WHERE)
        assert read.cells.isna().tolist() == [False, False, False, True]

    def test_places_in_an_order_stay(self):
        assert read_times(pd.Series([1, 2, 3]), WHERE).cells.tolist() == [1.0, 2.0, 3.0]

    @pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
    @pytest.mark.parametrize("zone", [None, "Asia/Tokyo"])
    def test_dates_of_pandas(self, unit, zone):
        dates = pd.Series(pd.to_datetime(["1970-01-02", None])).dt.as_unit(unit)
        dates = dates.dt.tz_localize(zone) if zone else dates
        read = read_times(dates, WHERE).cells
        assert read[0] == DAY - (9 * 3600 if zone else 0)
        assert pd.isna(read[1])  # NaT is no year

    @pytest.mark.parametrize(
        ("text", "seconds"),
        [
            ("1970-01-02", DAY),
            ("1970-01-02T00:01", DAY + 60),
            ("1970-01-02 00:01:00+01:00", DAY + 60 - 3600),
            ("1970/01/02", DAY),
            ("1970.01.02", DAY),
            ("02 Jan 1970", DAY),
            ("2 January 1970", DAY),
            ("Jan 2, 1970", DAY),
            ("01 2, 1970", DAY),
            ("13.01.1970", 12 * DAY),
            ("13/01/1970 00:01", 12 * DAY + 60),
            ("01/13/1970", 12 * DAY),
            ("Fri, 02 Jan 1970 00:01:00 GMT", DAY + 60),
            ("Fri Jan 02 00:01:00 +0000 1970", DAY + 60),
        ],
    )
    def test_forms(self, text, seconds):
        assert read_times(pd.Series([text, None]), WHERE).cells.tolist()[0] == seconds

    def test_compact_dates_and_years(self):
        assert read_times(pd.Series([19700102, 19700103]), WHERE).cells.tolist() == [DAY, 2 * DAY]
        assert read_times(pd.Series(["1971", "1970"]), WHERE).cells.tolist() == [365 * DAY, 0.0]

    def test_objects(self):
        cells = [dt.date(1970, 1, 2), dt.datetime(1970, 1, 2, 0, 1, tzinfo=dt.UTC), pd.NaT, "1970-01-03"]
        read = read_times(pd.Series(cells, dtype=object), WHERE).cells
        assert read.tolist()[:2] == [DAY, DAY + 60]
        assert read.tolist()[3] == 2 * DAY
        assert pd.isna(read[2])

    def test_a_number_among_dates_is_read_or_blamed_alone(self):
        cells = ["2014-05-03", "2014-05-04", "0", "1400000000", "soon"]
        read = read_times(pd.Series(cells), WHERE)
        assert read.cells.isna().tolist() == [False, False, True, False, True]
        assert read.cells[3] == SECOND
        assert read.notes["numbers"].tolist() == [False, False, False, True, False]

    def test_the_column_tells_days_from_months(self):
        assert read_times(pd.Series(["03/04/1970", "13/01/1970"]), WHERE).cells[0] == 92 * DAY  # 3 April
        assert read_times(pd.Series(["03/04/1970", "01/13/1970"]), WHERE).cells[0] == 62 * DAY  # 4 March

    def test_where_no_cell_tells_it_is_asked(self):
        dates = pd.Series(["03/04/1970"])
        with pytest.raises(BadInputError, match=r"'03/04/1970' may start with the day or with the month.*day_first"):
            read_times(dates, WHERE)
        assert read_times(dates, WHERE, day_first=True).cells[0] == 92 * DAY
        assert read_times(dates, WHERE, day_first=False).cells[0] == 62 * DAY
        assert read_times(pd.Series(["04/04/1970"]), WHERE).cells[0] == 93 * DAY
