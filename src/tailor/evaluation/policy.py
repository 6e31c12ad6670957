"""A scorer as a stochastic policy, and its value from another policy's log.

    π(a | x) = (1 - ε) exp(s_a / T) / Σ_b exp(s_b / T) + ε / n,    over the items that x may be shown

The reward model of the doubly robust estimate is logistic in the score and the item's popularity, cross-fitted: each
half of the log is predicted by a model of the other half.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import minimize
from scipy.special import expit, softmax

from tailor import columns as c
from tailor.data.cells import read_ids
from tailor.data.hashing import seeded_hash
from tailor.data.ids import IdMap
from tailor.errors import BadInputError
from tailor.evaluation.config import OffPolicyOptions
from tailor.evaluation.off_policy import doubly_robust, ips, snips
from tailor.metrics.rating import Scorer
from tailor.models.base import Query

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
REWARD, PROPENSITY = "reward", "propensity"
COLUMNS = ["estimator", "value", "low", "high", "effective_n", "clipped", "rows", "logged_mean"]
ESTIMATORS = ("ips", "snips", "doubly_robust")
_RIDGE, _SIDES = 1e-3, (True, False)


def logged_propensities(logs: pd.DataFrame) -> Floats:
    """Return the propensities of a log (n,).

    Raises:
        BadInputError: there are none, or some are not in (0, 1]: without them no unbiased estimate exists.
    """
    if PROPENSITY not in logs:
        raise BadInputError(
            "The log has no 'propensity' column: without the chance with which the old policy chose each action, its "
            "choices cannot be told from what users like, and every offline value would be biased. Log π₀(a | x) when "
            "serving, map the column, or run an A/B test (tailor.evaluation.experiment says how large)."
        )
    p = logs[PROPENSITY].to_numpy(dtype=np.float64)
    bad = ~((p > 0) & (p <= 1))
    if bad.any():
        first = int(np.flatnonzero(bad)[0])
        raise BadInputError(
            f"'propensity' must lie in (0, 1]: {int(bad.sum())} rows do not, the first is row {first} with {p[first]:g}"
            ". Drop rows of actions that were not drawn at random."
        )
    return p


def read_log(log: pd.DataFrame, users: pd.DataFrame, items: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """Return the log's rows whose user and item are known, with internal ids user and item, and how many are not.

    Raises:
        BadInputError: a column is missing, propensities are absent or outside (0, 1], a reward is outside [0, 1], or
            no row is left.
    """
    for name in (c.USER, c.ITEM, REWARD):
        if name not in log:
            raise BadInputError(f"The policy log has no column '{name}'. It has: {', '.join(map(str, log.columns))}.")
    propensity = logged_propensities(log)
    reward = pd.to_numeric(log[REWARD], errors="coerce").to_numpy(dtype=np.float64)
    bad = ~((reward >= 0) & (reward <= 1))
    if bad.any():
        first = int(np.flatnonzero(bad)[0])
        raise BadInputError(
            f"'reward' must lie in [0, 1]: {int(bad.sum())} rows do not, the first is row {first} with "
            f"{log[REWARD].iloc[first]!r}. Scale rewards, or drop rows without one."
        )
    user, item = (
        IdMap(table[name]).indices(read_ids(log[name], f"The policy log's column '{name}'"))
        for name, table in ((c.USER, users), (c.ITEM, items))
    )
    rows = pd.DataFrame({"user": user, "item": item, REWARD: reward, PROPENSITY: propensity})
    known = (user >= 0) & (item >= 0)
    if not known.any():
        raise BadInputError(f"None of the {len(log)} rows of the policy log names a known user and a known item.")
    return rows[known].reset_index(drop=True), int((~known).sum())


def target(scores: NDArray[np.float32], allowed: NDArray[np.bool_], temperature: float, epsilon: float) -> Floats:
    """Return π (B, n) of scores (B, n); 0 where not ``allowed``."""
    s = np.where(allowed, scores.astype(np.float64) / temperature, -np.inf)
    return np.asarray((1 - epsilon) * softmax(s, axis=1) + epsilon * allowed / allowed.sum(axis=1, keepdims=True))


def fit_reward(X: Floats, reward: Floats) -> Floats:
    """Fit E[r | x] = σ(X θ) by penalised likelihood; X (n, p), reward (n,) in [0, 1]."""

    def loss(theta: Floats) -> tuple[float, Floats]:
        odds = X @ theta
        value = np.logaddexp(0, odds) - reward * odds
        gradient = X.T @ (expit(odds) - reward) / len(X) + _RIDGE * theta
        return float(value.mean() + _RIDGE / 2 * theta @ theta), np.asarray(gradient)

    return np.asarray(minimize(loss, np.zeros(X.shape[1]), jac=True, method="L-BFGS-B").x)


@dataclass(frozen=True)
class Valuation:
    """What estimates of a policy's value are made of: a log, the policy's chances, and a model of the reward."""

    item: NDArray[np.int64]
    """Of each logged action (n,)."""
    reward: Floats
    propensity: Floats
    chosen: Floats
    """π of each logged action (n,)."""
    predicted: Floats
    """Reward of each logged action by the model (n,)."""
    domains: dict[str, Mask]
    """Items (n_items,) of each domain; empty: there is one."""
    expected: Floats
    """Reward that the policy earns on average by the model (n, 1 + D): from all items, then from those of a domain."""
    share: Floats
    """Share of the policy's actions that are of all items, then of those of a domain (1 + D,)."""
    max_weight: float

    def whole(self) -> pd.DataFrame:
        """Return what the policy would have earned per action, by IPS, SNIPS and doubly robust.

        Returns:
            Columns estimator, value, low, high, effective_n, clipped, rows, logged_mean.
        """
        rows = self._estimates(np.ones(len(self.reward), dtype=bool), 0)
        return pd.DataFrame(rows).assign(rows=len(self.reward), logged_mean=float(self.reward.mean()))[COLUMNS]

    def by_domain(self) -> pd.DataFrame:
        """Return what of that comes from each domain's items; no rows where there is one domain.

        The policy's value is a sum over items, so it is one over domains too: each estimate is that of the reward where
        the action is of the domain, and 0 elsewhere. It asks nothing of how the old policy chose between domains.

        Returns:
            Columns domain, those of :meth:`whole` (per action of any domain; rows and effective_n are those of the
            domain's actions), share and logged_share of the actions that are of the domain. Value and interval are
            missing where the log has no action of the domain: it says nothing of it.
        """
        rows = []
        for place, (name, items) in enumerate(self.domains.items(), start=1):
            inside = items[self.item]
            estimates = self._estimates(inside, place) if inside.any() else self._nothing()
            shared = {"rows": int(inside.sum()), "logged_mean": float((self.reward * inside).mean())}
            shared |= {"share": float(self.share[place]), "logged_share": float(inside.mean())}
            rows += [{c.DOMAIN: name} | estimate | shared for estimate in estimates]
        return pd.DataFrame(rows, columns=[c.DOMAIN, *COLUMNS, "share", "logged_share"])

    def _estimates(self, inside: Mask, place: int) -> list[dict[str, object]]:
        """Estimate what actions ``inside`` (n,) earn, whose expected reward stands in the column ``place``."""
        log, cut = (self.propensity, self.chosen), self.max_weight
        reward, predicted = self.reward * inside, self.predicted * inside
        estimates = {
            "ips": ips(reward, *log, cut),
            "snips": snips(reward, *log, cut),
            "doubly_robust": doubly_robust(reward, *log, predicted, self.expected[:, place], cut),
        }
        alone = asdict(ips(self.reward[inside], self.propensity[inside], self.chosen[inside], cut))
        counts = {name: alone[name] for name in ("effective_n", "clipped")}
        return [{"estimator": name} | asdict(estimate) | counts for name, estimate in estimates.items()]

    @staticmethod
    def _nothing() -> list[dict[str, object]]:
        unknown: dict[str, object] = dict.fromkeys(("value", "low", "high"), float("nan"))
        return [{"estimator": name, "effective_n": 0.0, "clipped": 0} | unknown for name in ESTIMATORS]


def valuation(
    scorer: Scorer,
    queries: Query,
    rows: pd.DataFrame,
    popularity: NDArray[np.int64],
    options: OffPolicyOptions,
    seed: int,
    domains: Mapping[str, Mask] | None = None,
) -> Valuation:
    """Score every logged user once, for estimates of the whole and of domains.

    Users are shown what is not in their history; logged actions that they could not be shown get weight 0.

    Args:
        scorer: the policy's scores.
        queries: every user with the history that scores are computed from.
        rows: as of :func:`read_log`.
        popularity: train interactions (n_items,).
        options: temperature, epsilon, max_weight, block_users.
        seed: of the halves.
        domains: items (n_items,) of each domain, by name; None or empty: there is one.
    """
    masks = dict(domains or {})
    groups = np.vstack([np.ones(len(popularity), dtype=bool), *masks.values()])
    reward, log_popularity = rows[REWARD].to_numpy(dtype=np.float64), np.log1p(popularity.astype(np.float64))
    half = seeded_hash(seed, rows["user"].astype(str)) % np.uint64(2) == 0
    features = _reward_features(scorer, queries, rows, log_popularity, options.block_users)
    models = RewardModels(half, {side: fit_reward(features[half != side], reward[half != side]) for side in _SIDES})
    chosen, predicted, expected, share = _policy_values(scorer, queries, rows, log_popularity, models, groups, options)
    propensity, item = rows[PROPENSITY].to_numpy(dtype=np.float64), rows["item"].to_numpy()
    return Valuation(item, reward, propensity, chosen, predicted, masks, expected, share, options.max_weight)


@dataclass(frozen=True)
class RewardModels:
    """A reward model for each half of the log, fitted on the other one."""

    half: Mask
    """Which half each row is of (n,)."""
    thetas: dict[bool, Floats]


def _blocks(
    scorer: Scorer, queries: Query, user: NDArray[np.int64], block_users: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32], sparse.csr_matrix]]:
    """Yield, per block of users: its rows of the log, their user's place in the block, scores and histories."""
    logged_users = np.unique(user)
    for start in range(0, len(logged_users), block_users):
        block = logged_users[start : start + block_users]
        log_rows = np.flatnonzero(np.isin(user, block))
        yield (
            log_rows,
            np.searchsorted(block, user[log_rows]),
            scorer.score(queries.take(block)),
            queries.history[block],
        )


def _reward_features(
    scorer: Scorer, queries: Query, rows: pd.DataFrame, log_popularity: Floats, block_users: int
) -> Floats:
    """Return 1, score and log popularity of every logged action (n, 3)."""
    item, features = rows["item"].to_numpy(), np.empty((len(rows), 3))
    for log_rows, place, scores, _ in _blocks(scorer, queries, rows["user"].to_numpy(), block_users):
        listed = item[log_rows]
        columns = [np.ones(len(log_rows)), scores[place, listed], log_popularity[listed]]
        features[log_rows] = np.column_stack(columns)
    return features


def _policy_values(
    scorer: Scorer,
    queries: Query,
    rows: pd.DataFrame,
    log_popularity: Floats,
    models: RewardModels,
    groups: Mask,
    options: OffPolicyOptions,
) -> tuple[Floats, Floats, Floats, Floats]:
    """Return π of each logged action, its predicted reward q̂ (n,), and v̂ from the items of each group (n, G).

    Last the share of the policy's actions that are of each group (G,); ``groups`` (G, n_items) marks their items.
    """
    item, inside = rows["item"].to_numpy(), groups.T.astype(np.float64)
    chosen, predicted = np.empty(len(rows)), np.empty(len(rows))
    expected, share = np.empty((len(rows), len(groups))), np.zeros(len(groups))
    for log_rows, place, scores, histories in _blocks(scorer, queries, rows["user"].to_numpy(), options.block_users):
        allowed = np.asarray((histories > 0).toarray() == 0)
        policy = target(scores, allowed, options.temperature, options.epsilon)
        chosen[log_rows] = policy[place, item[log_rows]]
        share += (policy @ inside)[place].sum(axis=0)
        for side, theta in models.thetas.items():
            of_half = models.half[log_rows] == side
            q = expit(theta[0] + theta[1] * scores + theta[2] * log_popularity)
            expected[log_rows[of_half]] = ((policy * q) @ inside)[place[of_half]]
            predicted[log_rows[of_half]] = q[place[of_half], item[log_rows[of_half]]]
    return chosen, predicted, expected, share / len(rows)
