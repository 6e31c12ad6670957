"""A log of rewards whose truth is known."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.special import expit

from tailor.evaluation.config import OffPolicyOptions
from tailor.evaluation.policy import target
from tailor.models.base import Query

N_USERS, N_ITEMS = 200, 12
USERS = pd.DataFrame({"user_id": [f"u{u}" for u in range(N_USERS)]})
ITEMS = pd.DataFrame({"item_id": [f"i{i}" for i in range(N_ITEMS)], "n_train": range(N_ITEMS)})
OPTIONS = OffPolicyOptions(temperature=0.7, epsilon=0.2, max_weight=1e9, block_users=64)


class Scores:
    """A scorer that is a table of scores."""

    def __init__(self, table):
        self.table = table

    def score(self, query):
        return self.table[query.user_index]


@dataclass(frozen=True)
class PlantedLog:
    """What an old policy showed, and what the scorer's policy would earn."""

    log: pd.DataFrame
    scorer: Scores
    queries: Query
    truth: float


def plant_log(n_rows=40_000):
    """Rewards depend on user and item; the old policy leans the wrong way; what a user took is not shown again."""
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(N_USERS, N_ITEMS)).astype(np.float32)
    chance = expit(scores - 1.0)
    taken = rng.random((N_USERS, N_ITEMS)) < 0.1
    old = target(-scores, ~taken, 1.0, 0.3)
    user = rng.integers(0, N_USERS, n_rows)
    item = np.array([rng.choice(N_ITEMS, p=old[u]) for u in user])
    log = pd.DataFrame(
        {
            "user_id": [f"u{u}" for u in user],
            "item_id": [f"i{i}" for i in item],
            "reward": (rng.random(len(user)) < chance[user, item]).astype(float),
            "propensity": old[user, item],
        }
    )
    new = target(scores, ~taken, OPTIONS.temperature, OPTIONS.epsilon)
    truth = float((new * chance).sum(axis=1)[user].mean())
    queries = Query.of(sparse.csr_matrix(taken, dtype=np.float32), user_index=np.arange(N_USERS))
    return PlantedLog(log, Scores(scores), queries, truth)
