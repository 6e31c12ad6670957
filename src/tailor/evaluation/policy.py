"""A scorer as a stochastic policy, and its value from another policy's log.

    π(a | x) = (1 - ε) exp(s_a / T) / Σ_b exp(s_b / T) + ε / n,    over the items that x may be shown

The reward model of the doubly robust estimate is logistic in the score and the item's popularity, cross-fitted: each
half of the log is predicted by a model of the other half.
"""

from collections.abc import Iterator
from dataclasses import asdict

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
REWARD, PROPENSITY = "reward", "propensity"
COLUMNS = ["estimator", "value", "low", "high", "effective_n", "clipped", "rows", "logged_mean"]
_RIDGE = 1e-3


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


def value(
    scorer: Scorer,
    queries: Query,
    rows: pd.DataFrame,
    popularity: NDArray[np.int64],
    options: OffPolicyOptions,
    seed: int,
) -> pd.DataFrame:
    """Return what the scorer's policy would have earned per action, by IPS, SNIPS and doubly robust.

    Users are shown what is not in their history; logged actions that they could not be shown get weight 0.

    Args:
        scorer: the policy's scores.
        queries: every user with the history that scores are computed from.
        rows: as of :func:`read_log`.
        popularity: train interactions (n_items,).
        options: temperature, epsilon, max_weight, block_users.
        seed: of the halves.

    Returns:
        Columns estimator, value, low, high, effective_n, clipped, rows, logged_mean.
    """
    reward, propensity = rows[REWARD].to_numpy(dtype=np.float64), rows[PROPENSITY].to_numpy(dtype=np.float64)
    log_popularity = np.log1p(popularity.astype(np.float64))
    half = seeded_hash(seed, rows["user"].astype(str)) % np.uint64(2) == 0
    features = _reward_features(scorer, queries, rows, log_popularity, options.block_users)
    models = {side: fit_reward(features[half != side], reward[half != side]) for side in (True, False)}
    chosen, predicted, expected = _policy_values(scorer, queries, rows, log_popularity, half, models, options)
    cut = options.max_weight
    estimates = {
        "ips": ips(reward, propensity, chosen, cut),
        "snips": snips(reward, propensity, chosen, cut),
        "doubly_robust": doubly_robust(reward, propensity, chosen, predicted, expected, cut),
    }
    table = pd.DataFrame([{"estimator": name} | asdict(estimate) for name, estimate in estimates.items()])
    return table.assign(rows=len(rows), logged_mean=float(reward.mean()))[COLUMNS]


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
    half: NDArray[np.bool_],
    models: dict[bool, Floats],
    options: OffPolicyOptions,
) -> tuple[Floats, Floats, Floats]:
    """Return per logged action (n,): π of the action, its predicted reward q̂, and the policy's expected reward v̂."""
    item = rows["item"].to_numpy()
    chosen, predicted, expected = (np.empty(len(rows)) for _ in range(3))
    for log_rows, place, scores, histories in _blocks(scorer, queries, rows["user"].to_numpy(), options.block_users):
        allowed = np.asarray((histories > 0).toarray() == 0)
        policy = target(scores, allowed, options.temperature, options.epsilon)
        chosen[log_rows] = policy[place, item[log_rows]]
        for side, theta in models.items():
            of_half = half[log_rows] == side
            q = expit(theta[0] + theta[1] * scores + theta[2] * log_popularity)
            expected[log_rows[of_half]] = (policy * q).sum(axis=1)[place[of_half]]
            predicted[log_rows[of_half]] = q[place[of_half], item[log_rows[of_half]]]
    return chosen, predicted, expected
