"""What was listed and what came of it, from events: per user of an experiment, and as a log for off-policy estimates.

Events are tables with the columns kind, user_id, session_id, item_id, request_id, rank, propensity, variant, version,
occurred_at (seconds) and received_at; see :class:`tailor.state.events.Event`.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import numpy as np
import pandas as pd

from tailor import columns as c
from tailor.columns import CHALLENGER, CHAMPION
from tailor.data.units import is_session, unit_of
from tailor.errors import BadInputError
from tailor.evaluation.ab_test import Sample
from tailor.evaluation.config import ExperimentOptions

EXPOSURE: Final = "exposure"
COLUMNS: Final = (
    *("kind", "user_id", "item_id", "request_id", "rank", "propensity"),
    *("variant", "version", "occurred_at", "received_at", "session_id"),
)
#: What names one listed item of one answer.
_LISTED = ["user_id", "request_id", "item_id"]
_DAY_S = 86_400.0


@dataclass(frozen=True)
class Participants:
    """The users of an experiment, and the sessions of who has no id, in the order in which they entered it."""

    users: pd.DataFrame
    """user_id (of a session as :func:`tailor.data.units.unit_of` names it), treated, began (seconds): the first
    exposure, ends: the end of the user's window."""
    exposures: pd.DataFrame
    """Items that were listed to them within their window, each once per answer."""
    others: pd.DataFrame
    """All other events."""
    versions: dict[str, list[str]]
    """Versions that answered within a window, by arm."""
    n_changed: int
    """Users who saw both arms within their window; they are left out."""
    n_unfinished: int
    """Users whose window has not ended; they are left out, and come in later."""
    n_nameless: int = 0
    """Items listed to requests with neither a user nor a session since the experiment began; they are in no arm."""

    @property
    def describe(self) -> str:
        """Say who was compared, and who was left out."""
        arms = " and ".join(f"{arm} (version {', '.join(self.versions[arm])})" for arm in (CHAMPION, CHALLENGER))
        sessions = self.n_sessions
        counted = f"{len(self.users)} users" + (f" ({sessions} of them sessions)" if sessions else "")
        nameless = f"; {self.n_nameless} items were listed to neither a user nor a session" if self.n_nameless else ""
        return (
            f"{arms}: {counted}; left out are {self.n_unfinished} whose window has not ended, and "
            f"{self.n_changed} who saw both{nameless}"
        )

    @property
    def n_sessions(self) -> int:
        """Sessions of people without an id among the users."""
        return int(self.users["user_id"].map(is_session).sum())

    def sample(self, metric: str, before_days: float) -> Sample:
        """Return the users with a metric of each, and with what they did before.

        Args:
            metric: ``click_per_exposure``: the share of listed items that a click of the same answer followed;
                ``click_per_user``: clicks, whatever they came from. Any kind of event in the place of click.
            before_days: days before a user entered whose events are the covariate.
        """
        kind, per = _parts(metric)
        events = self.others[self.others["kind"] == kind].merge(self.users, on="user_id")
        inside = events[(events["occurred_at"] >= events["began"]) & (events["occurred_at"] <= events["ends"])]
        earlier = events[events["occurred_at"] < events["began"]]
        earlier = earlier[earlier["occurred_at"] >= earlier["began"] - before_days * _DAY_S]
        denominator = None
        if per == EXPOSURE:
            hit = inside[_LISTED].dropna().drop_duplicates()
            counted, denominator = self.exposures.merge(hit, on=_LISTED), self._count(self.exposures)
        else:
            counted = inside
        return Sample(self.users["treated"].to_numpy(bool), self._count(counted), denominator, self._count(earlier))

    def _count(self, rows: pd.DataFrame) -> np.ndarray:
        """Return rows by user (n,)."""
        counts = rows["user_id"].value_counts()
        return self.users["user_id"].map(counts).fillna(0).to_numpy(np.float64)


def participants(events: pd.DataFrame, options: ExperimentOptions) -> Participants:
    """Find who took part in the experiment of the latest challenger.

    A session stands for who has no id; requests with neither are counted, and in no arm.

    A user's window begins with the first exposure and is as long for everybody, so what a user is counted for never
    changes once the window has ended.

    Args:
        events: of the model, in any order. A challenger's exposure that names no version is left out.
        options: window_days; since.

    Raises:
        BadInputError: there are no exposures of a challenger, or none of the champion beside it.
    """
    since = timestamp(options.since) if options.since else -np.inf
    events = _by_unit(events)
    rows = events[(events["kind"] == EXPOSURE) & events["user_id"].notna() & events["variant"].notna()]
    rows = rows[rows["occurred_at"] >= since].sort_values("occurred_at", kind="stable")
    challenged = rows[(rows["variant"] == CHALLENGER) & rows["version"].notna()]
    if challenged.empty:
        raise BadInputError(
            "The events hold no exposure of a challenger that names its version. Serve one with --experiment NAME "
            "--challenger-share 0.5 --log-exposures, or see experiment.since."
        )
    version = challenged["version"].iloc[-1]
    begin = challenged.loc[challenged["version"] == version, "occurred_at"].iloc[0]
    nameless = (events["kind"] == EXPOSURE) & events["user_id"].isna() & (events["occurred_at"] >= begin)
    of_test = (rows["variant"] == CHAMPION) | (rows["version"] == version)
    rows = rows[of_test & (rows["occurred_at"] >= begin)]
    began = rows.groupby("user_id")["occurred_at"].transform("first")
    rows = rows[rows["occurred_at"] <= began + options.window_days * _DAY_S]
    if (rows["variant"] == CHALLENGER).all():
        raise BadInputError(f"The events hold no exposure of the champion beside version {version} of the challenger.")
    by_user = rows.groupby("user_id", sort=False).agg(
        treated=("variant", lambda arms: arms.iloc[0] == CHALLENGER),
        n_arms=("variant", "nunique"),
        began=("occurred_at", "first"),
    )
    by_user["ends"] = by_user["began"] + options.window_days * _DAY_S
    changed, finished = by_user["n_arms"] > 1, by_user["ends"] <= events["received_at"].max()
    users = by_user[~changed & finished].sort_values("began", kind="stable").reset_index().drop(columns="n_arms")
    listed = rows[rows["user_id"].isin(users["user_id"])].drop_duplicates(_LISTED)
    return Participants(
        users=users,
        exposures=listed[_LISTED],
        others=events.loc[events["kind"] != EXPOSURE, [*_LISTED, "kind", "occurred_at"]],
        versions={arm: sorted(of_arm["version"].dropna().unique()) for arm, of_arm in rows.groupby("variant")},
        n_changed=int(changed.sum()),
        n_unfinished=int((~changed & ~finished).sum()),
        n_nameless=int(nameless.sum()),
    )


def _by_unit(events: pd.DataFrame) -> pd.DataFrame:
    """Return events whose column user_id holds the session where there is no user."""
    units = [
        unit_of(user if isinstance(user, str) else None, session if isinstance(session, str) else None)
        for user, session in zip(events["user_id"], events["session_id"], strict=True)
    ]
    return events.assign(user_id=pd.Series(units, index=events.index, dtype=object))


def policy_log(events: pd.DataFrame, reward: str) -> tuple[pd.DataFrame, int]:
    """Make a log of a policy's actions from exposures that were drawn; return it, and how many exposures it leaves out.

    An action is the item at rank 1: its propensity is that of one draw. Those further down were drawn from what was
    left, and seen less; they are left out, and so are anonymous visitors and lists that were not drawn.

    Args:
        events: of the model.
        reward: kind of event that counts as 1 where it names the same answer, user and item.

    Returns:
        Columns user_id, item_id, reward, propensity, one row per action.
    """
    listed = events[events["kind"] == EXPOSURE]
    drawn = listed[(listed["rank"] == 1) & listed["propensity"].notna() & listed["user_id"].notna()]
    drawn = drawn.drop_duplicates(_LISTED)
    hit = events.loc[events["kind"] == reward, _LISTED].dropna().drop_duplicates().assign(reward=1.0)
    rows = drawn.merge(hit, on=_LISTED, how="left")
    table = rows[[c.USER, c.ITEM, "reward", "propensity"]].fillna({"reward": 0.0}).reset_index(drop=True)
    return table, len(listed) - len(table)


def timestamp(date: str) -> float:
    """Return a date or time as seconds since 1970; without a zone it is UTC.

    Raises:
        BadInputError: it is none.
    """
    try:
        read = datetime.fromisoformat(date)
    except ValueError:
        raise BadInputError(f"experiment.since = '{date}' is no date: write it as 2026-11-30") from None
    return (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()


def _parts(metric: str) -> tuple[str, str]:
    kind, _, per = metric.rpartition("_per_")
    return kind, per
