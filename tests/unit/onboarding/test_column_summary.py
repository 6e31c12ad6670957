import numpy as np
import pandas as pd
import pytest

from tailor.onboarding.column_summary import ColumnSummary


def summary(cells, **kwargs) -> ColumnSummary:
    return ColumnSummary.of("column", pd.Series(cells, **kwargs))


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        ([None, None], "empty"),
        (["", "  "], "empty"),
        ([1, 2], "number"),
        (["1", "2.5", None], "number"),
        (["2015-04-03 10:00", "2015-04-04"], "time"),
        (["03/04/2015", "14/05/2016"], "time"),
        (["09 13, 2009", "1 2, 2010"], "time"),
        (["Jan 5, 2014", "12 March 2015", "Mon, 03 Apr 2015"], "time"),
        (pd.to_datetime(["2015-04-03"]), "time"),
        (["['tea', 'cup']", "[]"], "list"),
        ([["tea"], np.array(["cup"])], "list"),
        ([np.zeros(8, np.float32)], "vector"),
        (["[0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 1e-3]"], "vector"),
        (["Tea", "Cup 2"], "text"),
        (["may be", "marble"], "text"),
    ],
)
def test_kinds(cells, kind):
    assert summary(cells).kind == kind


@pytest.mark.parametrize("cells", [[7, 8], [7.0, 8.0, None], ["7", "8.0"], pd.array([7, 8, None], dtype="Int64")])
def test_an_id_is_the_same_text_however_its_column_is_typed(cells):
    assert sorted(summary(cells).distinct) == ["7", "8"]


def test_zeros_before_an_id_stay():
    assert sorted(summary(["007", "08"]).distinct) == ["007", "08"]


def test_categorical_columns():
    assert summary(pd.Categorical(["a", "b", "a"])).n_distinct == 2


def test_shares():
    column = summary(["two words", "two words", "one", None])
    assert column.share_filled == 3 / 4
    assert column.share_distinct == 2 / 3
    assert column.mean_words == pytest.approx((2 + 2 + 1) / 3)


def test_numbers():
    assert summary(["1", "2", None]).whole
    assert not summary(["1", "2.5"]).whole
    assert not summary(["a", "b"]).whole
    assert summary(["1", "inf"]).numbers.tolist() == [1.0]


def test_addresses():
    assert summary(["https://x.example/1", "https://x.example/2", "tea"]).is_address
    assert summary(["0a1b2c3d-0000-4000-8000-0123456789ab"]).is_address
    assert not summary(["tea", "cup.jpg", "pot"]).is_address


@pytest.mark.parametrize(
    ("cells", "order"),
    [
        (["03/04/2015", "14/05/2016"], "day first"),
        (["03/04/2015", "05/14/2016"], "month first"),
        (["03/04/2015", "05/06/2016"], "unclear"),
        (["2015-04-03"], "plain"),
        (["tea"], "plain"),
    ],
)
def test_days_and_months(cells, order):
    assert summary(cells).day_and_month == order
