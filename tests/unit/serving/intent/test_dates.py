"""Years, decades, durations and counts, as bounds of numeric columns."""

import pandas as pd
import pytest

from tailor.serving.intent.dates import NumericColumns, as_filters, find_bounds

TABLE = pd.DataFrame({"release_year": [1950.0, 1999.0], "runtime": [90.0, 125.0], "episodes": [12.0, 2000.5]})
COLUMNS = NumericColumns.of(TABLE, ["release_year", "runtime", "episodes"])


def filters(text):
    return as_filters(find_bounds(text, COLUMNS))


def test_columns_are_told_by_values_and_names():
    assert NumericColumns("release_year", "runtime", {"episodes": "episodes"}) == COLUMNS
    assert NumericColumns.of(TABLE, ["episodes"]).year is None


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("before 1960", None, 1959),
        ("older than 1940", None, 1939),
        ("until 1972", None, 1972),
        ("1985 or earlier", None, 1985),
        ("after 2001", 2002, None),
        ("newer than 1989", 1990, None),
        ("from 1991 on", 1991, None),
        ("since 1968", 1968, None),
        ("1979 and later", 1979, None),
        ("nothing before 1980", 1980, None),
        ("nothing after 1965", None, 1965),
        ("in 1988", 1988, 1988),
        ("between 1970 and 1975", 1970, 1975),
        ("1990-1995", 1990, 1995),
        ("the seventies", 1970, 1979),
        ("1980s", 1980, 1989),
        ("the 50s", 1950, 1959),
        ("early nineties", 1990, 1993),
        ("late 60s", 1967, 1969),
        ("before the sixties", None, 1959),
        ("vor 1970", None, 1969),
        ("nach 1985", 1986, None),
        ("ab 1992", 1992, None),
        ("aus den siebzigern", 1970, 1979),
        ("90er", 1990, 1999),
        ("zwischen 1960 und 1964", 1960, 1964),
        ("1960年以前", None, 1959),
        ("1985年以后", 1985, None),
        ("90年代", 1990, 1999),
        ("七十年代", 1970, 1979),
        ("晚于1990年", 1991, None),
    ],
)
def test_years(text, low, high):
    bounds = {name: float(value) for name, value in (("min", low), ("max", high)) if value is not None}
    assert filters(text) == {"release_year": bounds}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("under two hours", {"runtime": {"max": 120.0}}),
        ("at least 90 minutes", {"runtime": {"min": 90.0}}),
        ("over an hour", {"runtime": {"min": 60.0}}),
        ("unter zwei stunden", {"runtime": {"max": 120.0}}),
        ("fewer than 13 episodes", {"episodes": {"max": 13.0}}),
        ("more than 24 episodes since 1990", {"episodes": {"min": 24.0}, "release_year": {"min": 1990.0}}),
        ("a film about nothing", {}),
        ("12 monkeys", {}),
    ],
)
def test_amounts(text, expected):
    assert filters(text) == expected


def test_without_a_column_of_years_nothing_is_a_year():
    assert find_bounds("before 1960", NumericColumns(None, None, {})) == []
