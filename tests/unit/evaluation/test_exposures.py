"""Who took part in an experiment, what is counted for whom, and the log of a policy that drew; by hand."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

from tailor.columns import CHALLENGER, CHAMPION
from tailor.data.units import unit_of
from tailor.errors import BadInputError
from tailor.evaluation.ab_test import analyse
from tailor.evaluation.config import ExperimentOptions
from tailor.evaluation.exposures import COLUMNS, participants, policy_log, timestamp
from tailor.serving.experiment import positions

DAY = 86_400.0
OPTIONS = ExperimentOptions(window_days=7, before_days=28)


def event(kind, user, item=None, day=0.0, request=None, **columns):
    row = dict.fromkeys(COLUMNS) | {"kind": kind, "user_id": user, "item_id": item, "request_id": request}
    return row | {"occurred_at": day * DAY, "received_at": day * DAY} | columns


def exposure(user, item, day, request, variant, rank=1, **columns):
    version = columns.pop("version", "2" if variant == "challenger" else "1")
    return event("exposure", user, item, day, request, variant=variant, version=version, rank=rank, **columns)


def table(*rows):
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"rank": float, "propensity": float})


END = event("view", "somebody", "x", day=100)


def test_users_enter_with_their_first_exposure_and_leave_with_the_end_of_their_window():
    people = participants(
        table(
            exposure("b", "i1", 2, "r1", "challenger"),
            exposure("a", "i1", 3, "r2", "champion"),
            exposure("a", "i2", 9.9, "r3", "champion"),
            exposure("a", "i3", 10.1, "r4", "champion"),  # behind the window
            exposure("late", "i1", 98, "r5", "challenger"),
            exposure("both", "i1", 4, "r6", "champion"),
            exposure("both", "i1", 5, "r7", "challenger"),
            exposure(None, "i1", 5, "r8", "champion"),
            exposure("alone", "i1", 5, "r9", None),
            END,
        ),
        OPTIONS,
    )
    assert people.users["user_id"].tolist() == ["b", "a"]
    assert people.users["treated"].tolist() == [True, False]
    assert people.exposures["item_id"].tolist() == ["i1", "i1", "i2"]
    assert (people.n_changed, people.n_unfinished) == (1, 1)
    assert people.describe == (
        "champion (version 1) and challenger (version 2): 2 users; left out are 1 whose window has not ended, and 1 "
        "who saw both; 1 items were listed to neither a user nor a session"
    )


def test_a_session_stands_for_who_has_no_id_and_is_nobody_else():
    people = participants(
        table(
            exposure(None, "i1", 1, "r1", "challenger", session_id="s"),
            exposure(None, "i2", 2, "r2", "challenger", session_id="s"),
            exposure("s", "i1", 2, "r3", "champion"),  # a user of that name
            exposure(None, "i1", 3, "r4", "champion", session_id="t"),
            exposure("a", "i1", 3, "r5", "champion", session_id="s"),  # the user counts
            exposure(None, "i1", 4, "r6", None),
            exposure(None, "i1", 0, "r7", None),  # before the experiment
            event("click", None, "i2", 2, "r2", session_id="s"),
            event("click", None, "i1", 3, "r4", session_id="other"),
            event("click", None, "i1", 3, "r4"),
            END,
        ),
        OPTIONS,
    )
    assert people.users["treated"].tolist() == [True, False, False, False]
    assert people.users["user_id"].tolist() == [unit_of(None, "s"), "s", unit_of(None, "t"), "a"]
    assert (people.n_sessions, people.n_nameless, people.n_changed) == (2, 1, 0)
    sample = people.sample("click_per_exposure", 28)
    assert (sample.value.tolist(), sample.denominator.tolist()) == ([1, 0, 0, 0], [2, 1, 1, 1])
    assert "4 users (2 of them sessions); left out are 0 whose" in people.describe
    assert people.describe.endswith("; 1 items were listed to neither a user nor a session")


def test_an_experiment_on_sessions_alone_that_compares_a_model_with_itself_shows_nothing():
    """400 A/A experiments of 200 sessions, dealt out as the server deals them: few are false at 5 %."""
    rng, options = np.random.default_rng(0), OPTIONS.model_copy(update={"planned_users": 200})
    false, sure = 0, 0
    for number in range(400):
        sessions = [f"s{n}" for n in range(200)]
        place = positions(f"test {number}", [unit_of(None, session) for session in sessions])
        rows = [
            exposure(None, f"i{n % 7}", 1, f"r{n}", CHALLENGER if at < 0.5 else CHAMPION, session_id=session)
            for n, (session, at) in enumerate(zip(sessions, place, strict=True))
        ]
        clicked = rng.random(200) < 0.3
        rows += [event("click", None, f"i{n % 7}", 1, f"r{n}", session_id=sessions[n]) for n in np.flatnonzero(clicked)]
        people = participants(table(*rows, END), options)
        assert people.n_sessions == len(people.users) == 200
        found = analyse(people.sample("click_per_exposure", 28), options)
        false += found.p_value < 0.05
        sure += found.verdict in ("better", "worse")
    assert binomtest(false, 400, 0.05).pvalue > 0.01
    assert sure <= 0.05 * 400


def test_who_comes_back_after_the_window_has_seen_one_arm():
    people = participants(
        table(
            exposure("a", "i1", 1, "r1", "challenger"),
            exposure("b", "i1", 2, "r2", "champion"),
            exposure("a", "i1", 50, "r3", "champion", version="2"),  # the challenger was promoted
            END,
        ),
        OPTIONS,
    )
    assert people.users["user_id"].tolist() == ["a", "b"]
    assert people.n_changed == 0
    assert people.versions == {"challenger": ["2"], "champion": ["1"]}


def test_what_is_counted_per_exposure_and_per_user():
    people = participants(
        table(
            exposure("a", "i1", 1, "r1", "challenger"),
            exposure("a", "i2", 1, "r1", "challenger", rank=2),
            exposure("a", "i1", 1, "r1", "challenger"),  # posted twice
            exposure("b", "i1", 1, "r2", "champion"),
            event("click", "a", "i1", 2, "r1"),
            event("click", "a", "i1", 3, "r1"),  # the same item of the same answer counts once per exposure
            event("click", "a", "i9", 3, None),  # came from elsewhere
            event("click", "a", "i2", 8.5, "r1"),  # behind the window
            event("click", "b", "i1", 2, "r1"),  # another one's answer
            event("buy", "b", "i1", 2, "r2"),
            event("click", "a", "i5", 0.5),
            event("click", "b", "i5", -27.5),
            event("click", "b", "i5", -26.5),
            event("click", "b", "i5", -28.0),  # before the days that count
            END,
        ),
        OPTIONS,
    )
    assert people.users["user_id"].tolist() == ["a", "b"]
    clicks = people.sample("click_per_exposure", 28)
    assert (clicks.value.tolist(), clicks.denominator.tolist(), clicks.before.tolist()) == ([1, 0], [2, 1], [1, 1])
    all_clicks = people.sample("click_per_user", 28)
    assert (all_clicks.value.tolist(), all_clicks.denominator) == ([3, 1], None)
    assert people.sample("buy_per_user", 28).value.tolist() == [0, 1]
    assert people.sample("like_per_exposure", 28).value.tolist() == [0, 0]


def test_the_latest_challenger_is_the_one_that_is_compared():
    rows = table(
        exposure("old", "i1", 1, "r1", "challenger", version="2"),
        exposure("before", "i1", 2, "r2", "champion"),
        exposure("new", "i1", 10, "r3", "challenger", version="3"),
        exposure("after", "i1", 11, "r4", "champion"),
        exposure("old_server", "i1", 11, "r6", "challenger", version="2"),
        exposure("newest", "i1", 11.2, "r7", "challenger", version="3"),
        exposure("after_that", "i1", 12, "r5", "champion", version="4"),
        END,
    )
    people = participants(rows, OPTIONS)
    assert people.users["user_id"].tolist() == ["new", "after", "newest", "after_that"]
    assert people.versions == {"challenger": ["3"], "champion": ["1", "4"]}
    later = OPTIONS.model_copy(update={"since": "1970-01-12T12:00"})
    with pytest.raises(BadInputError, match="no exposure of a challenger"):
        participants(rows, later)


def test_what_cannot_be_compared_is_said():
    with pytest.raises(BadInputError, match=r"--experiment NAME --challenger-share 0\.5 --log-exposures"):
        participants(table(exposure("a", "i", 1, "r", "champion"), END), OPTIONS)
    with pytest.raises(BadInputError, match="no exposure of the champion beside version 2"):
        participants(table(exposure("a", "i", 1, "r", "challenger"), END), OPTIONS)
    with pytest.raises(BadInputError, match="no exposure of the champion beside version 2"):
        participants(
            table(exposure("a", "i", 1, "r", "challenger"), exposure("a", "i", 50, "s", "champion"), END), OPTIONS
        )
    with pytest.raises(BadInputError, match=r"experiment.since = 'yesterday' is no date"):
        timestamp("yesterday")
    assert timestamp("1970-01-02") == timestamp("1970-01-02T01:00+01:00") == DAY


def test_a_log_of_a_policy_is_what_was_drawn_first():
    log, left_out = policy_log(
        table(
            exposure("a", "i1", 1, "r1", None, propensity=0.5),
            exposure("a", "i2", 1, "r1", None, rank=2, propensity=0.4),
            exposure("b", "i1", 1, "r2", None, propensity=0.25),
            exposure("b", "i1", 1, "r3", None),
            exposure(None, "i1", 1, "r4", None, propensity=0.3),
            event("click", "a", "i1", 1, "r1"),
            event("click", "a", "i1", 2, "r1"),
            event("click", "b", "i1", 2, "r3"),
            event("buy", "b", "i1", 2, "r2"),
        ),
        "click",
    )
    assert log.to_dict("records") == [
        {"user_id": "a", "item_id": "i1", "reward": 1.0, "propensity": 0.5},
        {"user_id": "b", "item_id": "i1", "reward": 0.0, "propensity": 0.25},
    ]
    assert left_out == 3
    empty, none = policy_log(table(), "click")
    assert (len(empty), list(empty), none) == (0, ["user_id", "item_id", "reward", "propensity"], 0)


def test_an_own_log_values_the_policy_that_made_it():
    """Drawn by Plackett-Luce from three items; what the first of them earns is planted."""
    rng = np.random.default_rng(0)
    worth = np.exp(np.array([1.0, 0.0, -1.0]) / 0.7)
    chance, rate = worth / worth.sum(), np.array([0.1, 0.5, 0.3])
    chosen = rng.choice(3, 4000, p=chance)
    rows = [exposure(f"u{n}", f"i{i}", 1, f"r{n}", None, propensity=chance[i]) for n, i in enumerate(chosen)]
    rows += [event("click", f"u{n}", f"i{i}", 1, f"r{n}") for n, i in enumerate(chosen) if rng.random() < rate[i]]
    log, _ = policy_log(table(*rows), "click")
    weight = (log["item_id"] == "i1") / log["propensity"]
    assert (weight * log["reward"]).mean() == pytest.approx(0.5, abs=0.05)


def test_a_challenger_without_a_version_is_of_no_experiment():
    nameless = exposure("c", "i1", 3, "r3", "challenger", version=None)
    seen = [exposure("a", "i1", 1, "r1", "challenger"), exposure("b", "i1", 1, "r2", "champion")]
    people = participants(table(*seen, nameless, END), OPTIONS)
    assert people.users["user_id"].tolist() == ["a", "b"]
    assert people.versions == {"champion": ["1"], "challenger": ["2"]}
    with pytest.raises(BadInputError, match="no exposure of a challenger that names its version"):
        participants(table(nameless, END), OPTIONS)
