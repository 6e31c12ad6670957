"""A catalogue as it was at a date: which rows exist, and that later ones change nothing."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from tailor import columns as c
from tailor.config import parse
from tailor.data.config import CleaningOptions
from tailor.data.people import NOBODY
from tailor.data.until import as_date, cutoff, iso, read_until, rows_after
from tailor.errors import BadInputError, ConfigurationError
from tailor.pipelines.data_processing import nodes

TIMES = pd.Series([50.0, 20.0, 30.0, 20.0, 10.0], index=[2, 3, 5, 7, 11])
DAY = 24 * 3600.0


@pytest.mark.parametrize(
    ("until", "last"),
    [
        (0.2, 10.0),  # the first row of five
        (0.3, 20.0),  # two rows, ceil(.3 * 5)
        (0.6, 20.0),  # three: both of the second 20 stay
        (0.8, 30.0),
        (1.0, 50.0),
        (0.01, 10.0),  # never none
        (25.0, 25.0),  # seconds
        ("1970-01-01T00:00:25", 25.0),
        ("1970-01-01T01:00:25+01:00", 25.0),
    ],
)
def test_the_last_moment_that_exists(until, last):
    assert cutoff(TIMES, until) == last


def test_a_day_counts_to_its_end():
    last = cutoff(TIMES, "1970-01-02")
    assert 2 * DAY - 0.001 < last < 2 * DAY
    assert as_date(last) == "1970-01-02 23:59:59 UTC"


def test_rounded_shares_are_no_row_too_many():
    assert 0.07 * 100 > 7  # as floats are
    assert cutoff(pd.Series(np.arange(100, dtype=float)), 0.07) == 6.0


def test_rows_of_the_date_itself_stay():
    assert rows_after(TIMES, 20.0, "interactions").to_dict() == {2: True, 3: False, 5: True, 7: False, 11: False}


def test_a_date_before_the_first_row_is_refused():
    message = (
        r"data_processing\.cleaning\.until = 1969-12-31 is before the first row of raw_interactions "
        r"\(1970-01-01 00:00:10 UTC\): no row is left\. Write a later date, or null for all rows\."
    )
    with pytest.raises(BadInputError, match=message):
        rows_after(TIMES, "1969-12-31", "interactions")


@pytest.mark.parametrize("given", [0.5, 1, 800_000_000, "1998-03-01", "1998-03-01T12:00:00Z"])
def test_dates_seconds_and_shares_are_read(given):
    assert CleaningOptions(until=given).until == given


def test_dates_of_python_are_read():
    assert read_until(dt.date(1998, 3, 1)) == "1998-03-01"
    assert CleaningOptions().until is None


@pytest.mark.parametrize("given", [0, -5, True, "soon", "0.8", [1], float("inf"), float("nan")])
def test_what_is_no_date_is_refused(given):
    message = r"(?s)'data_processing\.cleaning\.until'.*is no date: write one such as '1998-03-01'.*share of the rows"
    with pytest.raises(ConfigurationError, match=message):
        parse(CleaningOptions, {"until": given}, "data_processing.cleaning")


@pytest.mark.parametrize("seconds", [0.0, 10.0, 0.25, 874_724_710.0, 1_700_000_000.123457, -5.5])
def test_an_iso_date_is_no_earlier_than_its_time(seconds):
    assert 0 <= cutoff(TIMES, iso(seconds)) - seconds < 2e-6


# --- later rows change nothing ----------------------------------------------------------------------------------------


def catalogue(seed: int) -> dict[str, pd.DataFrame]:
    """A thousand rows of 40 users and 30 items, at seconds 0 to 999; items i25 to i29 have none."""
    rng = np.random.default_rng(seed)
    pairs = rng.permutation(40 * 25)
    users, items = np.divmod(pairs, 25)
    rows = {c.USER: [f"u{user:02}" for user in users], c.ITEM: [f"i{item:02}" for item in items]}
    rows |= {c.VALUE: rng.integers(1, 6, len(pairs)), c.TIMESTAMP: np.arange(len(pairs))}
    every = pd.DataFrame({c.ITEM: [f"i{item:02}" for item in range(30)], "title": "Film"})
    return {"interactions": pd.DataFrame(rows), "items": every, "users": pd.DataFrame({c.USER: ["u00", "u41"]})}


def later_rows() -> pd.DataFrame:
    """New users, the first rows of items, and other words of known users on known items, after second 699."""
    again = catalogue(0)["interactions"].head(300).assign(value=1)
    new = pd.DataFrame({c.USER: "u41", c.ITEM: [f"i{item:02}" for item in range(30)], c.VALUE: 5})
    first = pd.DataFrame({c.USER: [f"u{user:02}" for user in range(40)], c.ITEM: "i29", c.VALUE: 5})
    rows = pd.concat([again, new, first], ignore_index=True)
    return rows.assign(timestamp=np.arange(len(rows)) + 700)


def at(
    tables: dict[str, pd.DataFrame], until: object = 699, strategy: str = "global_time", threshold: float | None = 3
):
    mapped = {"interactions": {name: name for name in (c.USER, c.ITEM, c.VALUE, c.TIMESTAMP)}}
    params = {
        "columns": mapped,
        "cleaning": {"until": until, "implicit_threshold": threshold},
        "split": {"strategy": strategy, "cold_items": 0.2, "pseudo_cold": 0.2},
    }
    interactions, items, users, quality, accounts = nodes.clean(
        tables["interactions"], tables["items"], tables["users"], NOBODY, params
    )
    return *nodes.split(interactions, items, users, params, seed=0), quality, accounts


@pytest.mark.parametrize("strategy", ["per_user", "leave_one_out", "global_time", "random"])
def test_two_catalogues_that_differ_after_the_date_alone_are_one(strategy):
    there = catalogue(0)
    before = there["interactions"][there["interactions"][c.TIMESTAMP] < 700]
    other = pd.concat([before, later_rows()], ignore_index=True)
    results = [at(there | {"interactions": rows}, strategy=strategy) for rows in (before, there["interactions"], other)]
    for made in results[1:]:
        for mine, first in zip(made[:4], results[0][:4], strict=True):
            pd.testing.assert_frame_equal(mine, first)


def test_what_is_known_is_of_the_day():
    there = catalogue(0)
    rows = pd.concat([there["interactions"].head(700), later_rows()], ignore_index=True)
    interactions, _, items, users, _, _ = at(there | {"interactions": rows})
    assert interactions[c.TIMESTAMP].max() <= 699
    assert "u41" not in set(users[c.USER])  # acts after the date alone
    late = items.set_index(c.ITEM).loc["i29"]  # of 41 later rows, none before: an item without rows
    assert (late["n_train"], late["bucket"]) == (0, "unseen")
    assert len(items) == 30


def test_without_a_date_later_rows_do_change_what_is_known():
    """The proof above would hold for a split that reads nothing, if this did not fail it."""
    there = catalogue(0)
    rows = pd.concat([there["interactions"].head(700), later_rows()], ignore_index=True)
    whole, of_day = at(there | {"interactions": rows}, until=None), at(there | {"interactions": rows})
    assert not whole[2].equals(of_day[2])
    assert "u41" in set(whole[3][c.USER])


def test_a_later_word_takes_no_earlier_row_back():
    rows = catalogue(0)["interactions"].head(700)
    taken = rows.iloc[[0]].assign(value=5)
    again = taken.assign(value=1, timestamp=900)  # below the threshold, after the date
    rows = pd.concat([taken, rows.iloc[1:], again], ignore_index=True)
    interactions, *_ = at(catalogue(0) | {"interactions": rows})
    pair = interactions[(interactions[c.USER] == taken[c.USER][0]) & (interactions[c.ITEM] == taken[c.ITEM][0])]
    assert pair[[c.VALUE, c.TIMESTAMP]].to_numpy().tolist() == [[5.0, 0.0]]


def test_later_rows_are_counted():
    there = catalogue(0)
    *_, quality, accounts = at(there, threshold=None)
    dropped = quality.set_index("problem").loc["after 1970-01-01 00:11:39 UTC (cleaning.until)"]
    assert (dropped["action"], dropped["rows"], dropped["table"]) == ("dropped", 300, "interactions")
    account = accounts.set_index("table").loc["interactions"]
    assert (account["rows_in"], account["dropped"], account["kept"]) == (1000, 300, 700)


def test_the_log_counts_them_too(caplog):
    with caplog.at_level("INFO", logger="tailor.data.cleaning"):
        at(catalogue(0))
    assert "raw_interactions until 1970-01-01 00:11:39 UTC: 300 of 1000 rows are later and left out" in caplog.text


def test_later_rows_are_no_defects():
    """300 of 1,000 rows are later and 100 of the others unreadable: 100 of 700 are defective, within a fifth."""
    there = catalogue(0)
    rows = there["interactions"].astype({c.VALUE: object})
    rows.loc[rows.index < 100, c.VALUE] = "?"
    params = {
        "columns": {"interactions": {name: name for name in (c.USER, c.ITEM, c.VALUE, c.TIMESTAMP)}},
        "cleaning": {"until": 699, "max_dropped_fraction": 0.2},
    }
    assert len(nodes.clean(rows, there["items"], there["users"], NOBODY, params)[0]) == 600
    params["cleaning"]["max_dropped_fraction"] = 0.14  # 1 / 7 is more; of all 1,000 rows it would be a tenth
    with pytest.raises(BadInputError, match=r"14% of the rows of raw_interactions are defective"):
        nodes.clean(rows, there["items"], there["users"], NOBODY, params)


def test_a_catalogue_without_times_has_no_dates():
    there = catalogue(0)
    params = {"cleaning": {"until": "1998-03-01"}}
    message = r"data_processing\.cleaning\.until is set, but no column is mapped to 'timestamp'\. Map one .* to null\."
    with pytest.raises(BadInputError, match=message):
        nodes.clean(there["interactions"], there["items"], there["users"], NOBODY, params)


def test_rows_that_are_all_defective_are_told_as_such():
    there = catalogue(0)
    rows = there["interactions"].assign(timestamp="never")
    params = {
        "columns": {"interactions": {name: name for name in (c.USER, c.ITEM, c.TIMESTAMP)}},
        "cleaning": {"until": 0.5},
    }
    with pytest.raises(BadInputError, match=r"100% of the rows of raw_interactions are defective"):
        nodes.clean(rows, there["items"], there["users"], NOBODY, params)
