"""What a backtest prints."""

from tailor.backtesting.wording import describe_date, describe_mean
from tailor.evaluation.backtest import BOOSTS_OFF, HYBRID, BacktestOptions, DateResult, Lead


def result(low: float, high: float) -> DateResult:
    counts = {"rows": 70_000, "later_rows": 30_000, "users": 680, "items": 1682, "items_without_rows": 70}
    counts |= {"train_rows": 50_000, "validation_rows": 10_000, "test_rows": 9000, "cold_rows": 500}
    counts |= {"test_users": 250, "known_test_users": 150}
    row = {"warm": 0.25, "tail": 0.0, "cold": float("nan"), "mixed": 0.2}
    leads = [Lead("warm", BOOSTS_OFF, "slit", (low + high) / 2, low, high, 140)]
    return DateResult("1998-02-09", counts, dict.fromkeys(("slit", HYBRID, BOOSTS_OFF), row), leads, "train", 90.0)


def test_a_date_is_told_with_its_counts():
    text = describe_date(result(0.01, 0.03), 2, BacktestOptions())
    assert text.splitlines()[1:4] == [
        "Date 2 of 4: until 1998-02-09. 70,000 rows (30,000 later ones left out), 680 users, 1,682 items (70 without a "
        "row yet).",
        "Rows: 50,000 train, 10,000 validation, 9,000 test, 500 of cold items in the test window. Fitted on train. 150 "
        "of the 250 users of the test window have a history. 1.5 minutes.",
        "NDCG@20                      warm     tail     cold    mixed",
    ]
    assert text.splitlines()[4] == "slit                       0.2500   0.0000        –   0.2000"
    assert text.splitlines()[-1] == ("hybrid_frozen_boosts_off - slit, warm: +0.0200 [+0.0100, +0.0300], 140 users")


def test_the_mean_counts_dates_on_which_the_interval_is_on_one_side():
    results = [result(0.01, 0.03), result(-0.01, 0.03), result(-0.06, -0.01)]
    text = describe_mean(results, BacktestOptions())
    assert text.splitlines()[-1] == (
        # (.02 + .01 - .035) / 3
        "hybrid_frozen_boosts_off, warm: -0.0017 on average; better than the best baseline on 1 of 3 dates, worse on 1"
    )
    assert "Mean over 3 dates" in text
