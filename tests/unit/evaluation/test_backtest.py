"""Windows of a date, the users who count, the comparison, on planted truth."""

import json

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError
from scipy import sparse

from tailor import columns as c
from tailor.data.config import SplitOptions
from tailor.data.split import label_interactions
from tailor.data.until import rows_after
from tailor.errors import BadInputError
from tailor.evaluation import backtest
from tailor.evaluation.backtest import BOOSTS_OFF, HYBRID, BacktestOptions, DateResult, Lead, Windows
from tailor.evaluation.protocol import test_protocol as protocol_of_test
from tailor.hybrid.config import Boosts


def rows(times) -> pd.DataFrame:
    n = len(times)
    return pd.DataFrame(
        {c.USER: [f"u{i % 7}" for i in range(n)], c.ITEM: [f"i{i}" for i in range(n)], c.TIMESTAMP: times}
    )


def test_the_windows_of_four_dates_follow_each_other():
    times = pd.Series(np.random.default_rng(0).permutation(100).astype(float))
    windows = backtest.lay_windows(times, BacktestOptions())
    assert [(w.train, w.validation, w.test) for w in windows] == [
        (49.0, 59.0, 69.0),
        (59.0, 69.0, 79.0),
        (69.0, 79.0, 89.0),
        (79.0, 89.0, 99.0),
    ]


@pytest.mark.parametrize("step", [1.0, 0.3])
def test_the_split_of_each_date_has_exactly_these_windows(step):
    """Ties included: each time stands three times."""
    table = rows(np.repeat(np.arange(100), 3) * step)
    for windows in backtest.lay_windows(table[c.TIMESTAMP], BacktestOptions()):
        there = table[~rows_after(table[c.TIMESTAMP], windows.test, "interactions")]
        shares = windows.shares(there[c.TIMESTAMP])
        options = SplitOptions(strategy="global_time", cold_items=0, new_users=0, **shares)
        labels, times = label_interactions(there, options, 0), there[c.TIMESTAMP]
        assert times[labels == c.TRAIN].max() == windows.train
        assert times[labels == c.VALIDATION].agg(["min", "max"]).tolist() == pytest.approx(
            [windows.train + step, windows.validation]
        )
        assert times[labels == c.TEST].agg(["min", "max"]).tolist() == pytest.approx(
            [windows.validation + step, windows.test]
        )
        assert (labels == c.TEST).sum() == 30  # a tenth of all 300 rows


def test_a_window_without_rows_is_refused():
    windows = Windows(train=5.0, validation=5.0, test=9.0)
    message = (
        r"At the date 1970-01-01 00:00:09 UTC the windows hold 2 train, 0 validation and 1 test rows: too many rows "
        r"share a timestamp\. Ask for fewer dates or a larger window\."
    )
    with pytest.raises(BadInputError, match=message):
        windows.shares(pd.Series([5.0, 5.0, 9.0]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dates": 9}, r"9 dates with windows of 0\.1 leave the first one no train row: \(dates \+ 1\) x window"),
        ({"window": 0.2}, r"4 dates with windows of 0\.2"),
        ({"window": 0.5}, "less than 0.5"),
        ({"dates": 0}, "greater than or equal to 1"),
        ({"baselines": []}, "name at least one model"),
    ],
)
def test_options_that_leave_nothing_are_refused(options, message):
    with pytest.raises(ValidationError, match=message):
        BacktestOptions(**options)


# --- users, lists, figures --------------------------------------------------------------------------------------------

#: a head, b and c tail, e cold, f unseen.
ITEMS = pd.DataFrame(
    {
        c.ITEM: list("abcef"),
        c.N_TRAIN: [3, 2, 1, 0, 0],
        c.BUCKET: ["head", "tail", "tail", "cold", "unseen"],
        c.PSEUDO_COLD: "none",
    }
)
USERS = pd.DataFrame({c.USER: ["u", "v", "w", "x"], c.BUCKET: ["q1", "q4", "q2", "new"], c.N_TRAIN: [2, 2, 0, 0]})


def csr(*cells):
    return sparse.csr_matrix(np.array(cells, np.float32))


NOTHING = [0, 0, 0, 0, 0]
TRAIN = csr([1, 0, 0, 0, 0], [1, 1, 0, 0, 0], NOTHING, NOTHING)
VALIDATION = csr(NOTHING, NOTHING, NOTHING, NOTHING)
#: u takes b, v takes c and the cold e; w has no history, x is held out as new.
POSITIVES = csr([0, 1, 0, 0, 0], [0, 0, 1, 1, 0], [1, 0, 0, 0, 0], [1, 0, 0, 0, 0])


@pytest.fixture
def rules():
    order = sparse.csr_matrix((4, 5), dtype=np.float32)
    profiles = {"profiles": np.zeros((4, 0), np.float32)}
    return protocol_of_test(
        ITEMS, train=TRAIN, validation=VALIDATION, cold_unused=VALIDATION, order=order, side_features=profiles
    )


class Fixed:
    """Scores of items that are the same for every user."""

    def __init__(self, *scores):
        self.scores = np.array(scores, np.float32)
        self.boosts = Boosts(tail_boost=0.5)

    def score(self, query):
        return np.tile(self.scores, (len(query.lengths), 1))

    def with_boosts(self, boosts):
        other = Fixed(*self.scores)
        other.boosts = boosts
        return other


def test_users_with_a_history_count(rules):
    assert backtest.known_users(USERS, rules).tolist() == [0, 1]


def test_figures_are_those_of_the_definition(rules):
    model = Fixed(5, 4, 3, 2, 1)  # a, b, c, e, f
    values = backtest.measure_users(model, rules, POSITIVES, np.array([0, 1]), ITEMS, 20, 0)
    # warm candidates: all but e. u has taken a: b, c, f. v has taken a and b: c, f.
    np.testing.assert_allclose(values["warm"], [1.0, 1.0])
    np.testing.assert_allclose(values["tail"], [1.0, 1.0])
    np.testing.assert_allclose(values["cold"], [np.nan, 1.0])
    np.testing.assert_allclose(values["mixed"], [1.0, 1.0])
    turned = backtest.measure_users(Fixed(1, 2, 3, 4, 5), rules, POSITIVES, np.array([0, 1]), ITEMS, 20, 0)
    # u: f, c, b. v: f, c; mixed f, e, c.
    np.testing.assert_allclose(turned["warm"], [1 / np.log2(4), 1 / np.log2(3)])
    ideal = 1 + 1 / np.log2(3)
    np.testing.assert_allclose(turned["mixed"], [1 / np.log2(5), (1 / np.log2(3) + 1 / np.log2(4)) / ideal])


def test_models_are_the_baselines_and_the_hybrid_twice():
    hybrid = Fixed(1, 2)
    models = backtest.measured_models({"popular": Fixed(0, 0)}, hybrid)
    assert list(models) == ["popular", HYBRID, BOOSTS_OFF]
    assert models[HYBRID] is hybrid
    assert (models[BOOSTS_OFF].boosts.tail_boost, hybrid.boosts.tail_boost) == (0.0, 0.5)


def test_one_date_is_measured(rules):
    models = {"popular": Fixed(1, 2, 3, 4, 5), HYBRID: Fixed(5, 4, 3, 2, 1), BOOSTS_OFF: Fixed(5, 4, 3, 2, 1)}
    table, leads, counts = backtest.measure_date(models, rules, POSITIVES, USERS, ITEMS, 20, 0)
    assert counts == {"test_users": 4, "known_test_users": 2}
    assert table[HYBRID] == {"warm": 1.0, "tail": 1.0, "cold": 1.0, "mixed": 1.0}
    assert table["popular"]["warm"] == pytest.approx((0.5 + 1 / np.log2(3)) / 2)
    warm = next(lead for lead in leads if (lead.model, lead.figure) == (HYBRID, "warm"))
    assert (warm.against, warm.n_users) == ("popular", 2)
    assert warm.difference == pytest.approx(1 - table["popular"]["warm"])


def test_a_test_window_of_new_users_alone_is_refused(rules):
    unknown = csr(NOTHING, NOTHING, [1, 0, 0, 0, 0], NOTHING)
    message = r"None of the 1 users of the test window has a row before it: .* Ask for fewer dates or a larger window\."
    with pytest.raises(BadInputError, match=message):
        backtest.measure_date({}, rules, unknown, USERS, ITEMS, 20, 0)


def test_the_best_baseline_of_each_figure_is_compared_with():
    n = 400
    noise = np.random.default_rng(0).normal(0, 0.01, n)
    nothing = np.full(n, np.nan)
    values = {
        "popular": dict.fromkeys(("warm", "mixed"), noise + 0.1) | {"tail": noise + 0.3, "cold": nothing},
        "ease": dict.fromkeys(("warm", "mixed"), noise + 0.2) | {"tail": noise + 0.1, "cold": nothing},
        HYBRID: {"warm": noise + 0.15, "tail": noise + 0.4, "mixed": noise + 0.2, "cold": nothing},
        BOOSTS_OFF: {"warm": noise + 0.25, "tail": noise + 0.2, "mixed": noise + 0.2, "cold": nothing},
    }
    found = {(lead.model, lead.figure): lead for lead in backtest.leads(values, 0)}
    assert {figure: lead.against for (_, figure), lead in found.items()} == {
        "warm": "ease", "tail": "popular", "mixed": "ease",
    }  # fmt: skip
    planted = {(BOOSTS_OFF, "warm"): 0.05, (HYBRID, "warm"): -0.05, (HYBRID, "tail"): 0.1, (BOOSTS_OFF, "mixed"): 0.0}
    for key, difference in planted.items():
        assert found[key].difference == pytest.approx(difference)
        assert found[key].low == pytest.approx(difference)  # the same for each user
        assert found[key].n_users == n
    assert (HYBRID, "cold") not in found  # nobody took a cold item


# --- results ----------------------------------------------------------------------------------------------------------


def result(warm: float, cold: float = float("nan")) -> DateResult:
    table = {"popular": {"warm": 0.1, "cold": cold}, HYBRID: {"warm": warm, "cold": cold}}
    lead = Lead("warm", HYBRID, "popular", warm - 0.1, warm - 0.2, warm, 7)
    return DateResult(until="1998", counts={"rows": 3}, table=table, leads=[lead], fit_on="train", seconds=1.5)


def test_a_result_is_read_back_from_json():
    written = json.dumps(result(0.3).to_json(), allow_nan=False)
    again = DateResult.from_json(json.loads(written))
    assert np.isnan(again.table[HYBRID].pop("cold"))
    assert again.table[HYBRID] == {"warm": 0.3}
    assert again.leads == result(0.3).leads
    assert (again.until, again.counts, again.seconds) == ("1998", {"rows": 3}, 1.5)


def test_the_mean_leaves_dates_without_a_figure_out():
    mean = backtest.mean_over_dates([result(0.3), result(0.5, cold=0.2)])
    assert mean[HYBRID] == {"warm": pytest.approx(0.4), "cold": pytest.approx(0.2)}


def test_the_table_has_a_row_for_each_date_model_and_figure():
    frame = backtest.to_frame([result(0.3), result(0.5)])
    assert len(frame) == 2 * 2 * 2
    ours = frame[(frame["model"] == HYBRID) & (frame["figure"] == "warm")]
    assert ours["value"].tolist() == [0.3, 0.5]
    assert ours["low"].tolist() == pytest.approx([0.1, 0.3])
    assert ours["n_users"].tolist() == [7, 7]
    assert frame[frame["model"] == "popular"]["against"].isna().all()


def test_rows_users_and_items_are_counted():
    table = pd.DataFrame({c.ITEM: ["a", "a", "b", "e"], c.SPLIT: ["train", "validation", "test", "cold"]})
    quality = pd.DataFrame({"problem": ["after 1998 (cleaning.until)", "missing user_id"], "rows": [9, 4]})
    assert backtest.count_rows(table, ITEMS, USERS, quality) == {
        "rows": 4, "later_rows": 9, "users": 4, "items": 5, "items_without_rows": 2,
        "train_rows": 1, "validation_rows": 1, "test_rows": 1, "cold_rows": 1,
    }  # fmt: skip
