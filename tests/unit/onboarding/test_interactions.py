import pandas as pd
import pytest

from tailor.onboarding.interactions import choose_events, choose_threshold, describe_interactions, read_values
from tailor.onboarding.tables import TEXT, RawTable
from tests.unit.onboarding.conftest import shop_orders


def described(**columns):
    frame = pd.DataFrame(columns)
    return describe_interactions(RawTable("rows.csv", frame, len(frame), True, TEXT), [])


def mapped(**columns) -> dict[str, str]:
    return {choice.ours: choice.theirs for choice in described(**columns).columns}


def unused(**columns) -> dict[str, str]:
    return dict(described(**columns).unused)


def test_a_shop():
    table = RawTable("orders.csv", shop_orders(), 48, True, TEXT)
    columns = describe_interactions(table, ["customer", "sku"])
    assert {choice.ours: choice.theirs for choice in columns.columns} == {"timestamp": "bought", "value": "stars"}
    assert columns.has("value") and not columns.has("text")
    assert columns.positives.threshold == 4.0
    assert columns.positives.share == ((shop_orders()["stars"] >= 4).mean())


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ([1.3e9 + n for n in range(40)], "seconds since 1970"),
        ([1.3e12 + n for n in range(40)], "milliseconds since 1970"),
        (["2015-04-03", "2016-01-02"] * 20, "dates"),
        (["09 13, 2009", "1 2, 2010"] * 20, "dates"),
        (list(range(1, 41)), "whole numbers: an order, no dates"),
    ],
)
def test_times(cells, reason):
    (choice,) = described(timestamp=cells).columns
    assert (choice.ours, choice.reason) == ("timestamp", reason)


def test_seconds_are_taken_before_dates_and_unusual_names_by_their_values():
    seconds = [1.3e9 + n for n in range(40)]
    assert mapped(reviewTime=["09 13, 2009"] * 40, unixReviewTime=seconds) == {"timestamp": "unixReviewTime"}
    assert mapped(zzz=seconds) == {"timestamp": "zzz"}
    assert mapped(time_spent=[3, 4, 5, 60] * 10) == {}


def test_times_with_gaps_are_not_mapped_since_such_rows_would_be_dropped():
    cells = [1.3e9 + n for n in range(40)] + [None] * 10
    assert mapped(timestamp=cells) == {}
    assert unused(timestamp=cells)["timestamp"] == "times, but 20 % are empty, and a run drops such rows"


def test_days_and_months_that_nothing_tells_apart_are_left_to_the_reader():
    positives = described(date=["03/04/2015", "05/06/2015"] * 10).positives
    assert positives.day_first.startswith("03/04/2015 may start with the day or with the month")
    assert described(date=["13/04/2015", "05/06/2015"] * 10).positives.day_first == ""


def test_ratings_by_name_or_by_values():
    stars = [1, 2, 3, 4, 5] * 4
    assert mapped(overall=stars) == {"value": "overall"}
    assert mapped(zzz=stars) == {"value": "zzz"}
    assert mapped(zzz=[0.5, 1.0, 3.5, 4.0, 5.0] * 4) == {"value": "zzz"}
    assert mapped(zzz=[3, 17, 120, 5]) == {}
    assert mapped(rating=[4.0] * 20) == {}


def test_counts_are_no_ratings():
    assert mapped(plays=[1, 2, 3, 4, 5] * 4) == {}
    assert unused(rating_count=[1, 2, 30, 4])["rating_count"].startswith("a count says how often")


def test_ratings_with_gaps_are_not_mapped():
    assert unused(rating=[4, 5, 1, None])["rating"] == "ratings, but 25 % are empty, and a run drops such rows"


@pytest.mark.parametrize("cells", [["4 stars", "5 stars"], ["4/5", "5/5"], ["4,0", "5,0"], ["4", "5"], ["4.0", "5"]])
def test_ratings_in_words(cells):
    table = RawTable("rows.csv", pd.DataFrame({"rating": cells}), 2, True, TEXT)
    assert read_values(table.columns["rating"]).tolist() == [4.0, 5.0]


@pytest.mark.parametrize(
    ("values", "threshold"),
    [
        ([1, 2, 3, 4, 5], 4.0),
        ([0.5, 4.5, 5], 4.0),
        ([1, 6, 10], 7.0),
        ([-1, 6, 10], 7.0),  # -1: seen, without a rating
        ([0, 1], 1.0),
        ([-1, 1], 1.0),
        ([0, 100], 70.0),
        ([-10, 10], 4.0),
    ],
)
def test_thresholds_follow_the_scale(values, threshold):
    assert choose_threshold(pd.Series(values, dtype="float64"))[0] == threshold


def test_a_threshold_says_what_is_left():
    values = pd.Series([1.0, 2.0, 3.0, 5.0])
    assert choose_threshold(values)[1] == "of values from 1 to 5; 25 % of the rows looked at are positives"


def test_events():
    cells = ["view"] * 6 + ["purchase"] * 3 + ["refund"]
    columns = described(event_type=cells)
    assert [choice.theirs for choice in columns.columns] == ["event_type"]
    assert columns.positives.events == ("purchase",)
    assert columns.positives.share == 0.3


def test_events_by_their_words_alone():
    assert mapped(zzz=["pv", "buy", "cart", "fav"] * 5) == {"event": "zzz"}
    assert mapped(zzz=["tea", "cup"] * 5) == {}
    assert "the same in all rows" in unused(action=["view"] * 5)["action"]


def test_few_purchases_are_not_enough():
    events, reason = choose_events(pd.Series(["view"] * 95 + ["purchase"] * 3 + ["remove_from_cart"] * 2))
    assert events == ("view", "purchase")
    assert reason.endswith("all events: view 95 %, purchase 3 %, remove_from_cart 2 %")


def test_reviews():
    long = ["this is a good cup of tea", "I would not buy it again"] * 5
    assert mapped(reviewText=long, summary=["good", "bad"] * 5) == {"text": "reviewText"}
    assert mapped(comment=["ok", "good"] * 5) == {}


def test_a_fixed_split():
    assert mapped(part=["train", "test", "validation", "train"]) == {"split": "part"}
    assert unused(split=["train", "dev"])["split"].startswith("a split of other labels (dev, train)")


def test_what_is_left_over_is_said():
    left = unused(
        device=["phone", "desk"] * 10, blank=[None] * 20, constant=["x"] * 20, note=[f"n{n}" for n in range(20)]
    )
    assert left["device"].startswith("2 values; context_device would say in what moment")
    assert left["blank"] == "empty" and left["constant"] == "the same in all rows"


def test_places_in_the_order_of_a_user():
    """Everybody has a first row, and nobody a third without a second."""
    sizes = [6, 4, 5, 2, 1]
    rows = [(f"k{user}", place + 1, 3) for user, size in enumerate(sizes) for place in range(size)]
    frame = pd.DataFrame(rows, columns=["kunde", "zeitpunkt", "menge"])
    columns = describe_interactions(RawTable("rows.csv", frame, len(frame), True, TEXT), ["kunde"])
    assert [(choice.ours, choice.theirs) for choice in columns.columns] == [("timestamp", "zeitpunkt")]
    assert columns.columns[0].reason == "the place of a row in its user's order, no date"
    frame["zeitpunkt"] = frame["zeitpunkt"].replace(1, 2)
    columns = describe_interactions(RawTable("rows.csv", frame, len(frame), True, TEXT), ["kunde"])
    assert not columns.columns
