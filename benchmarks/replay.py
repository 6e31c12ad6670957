"""`make bench-replay`: a prequential replay of MovieLens-1M in the order of time, with events against without.

All rows in the order of time: blend and boosts are chosen on the rows from 70 to 80 %, the sources are fitted on the
first 80 %, and the last 20 % arrive row by row. Before each row two answers are made by the same model, which is not
fitted again: one on the history of the fit alone, one on that history with the rows of the same user that have arrived
since. Both leave out what the user has taken so far, and the row that comes next is the one hit. Users are a seeded
sample of those with a history and with later rows, the first ones of each; NDCG and hit rate are averaged over a user's
rows, then over users; intervals are paired bootstraps over users. The hybrid is that of the first option set without
the transformer, on frozen embeddings.

An interrupted replay goes on: each block of users is written to data/ml1m/replay.json, with the commit.
"""

import json
import logging
from dataclasses import asdict
from typing import Any

import numpy as np
from catalogues import RESULTS, ROOT, Catalogue, about, prepare, rounded, seconds_of, write
from cold_start import embed_frozen
from protocols import PROTOCOLS
from scipy import sparse

from tailor import columns as c
from tailor.data.interactions import first_of_each_row, in_order, order_matrix
from tailor.hybrid import selection
from tailor.metrics.accuracy import hits, ndcg
from tailor.metrics.significance import paired_bootstrap
from tailor.models.base import Csr, FittedModel, Indices, Query
from tailor.models.listing import recommend
from tailor.types import JsonObject

K, SEED, USERS, ROWS, BLOCK = 20, 0, 400, 30, 50
PARTIAL = ROOT / "data" / "ml1m" / "replay.json"
TARGETS = {"with_events_to_without": "> 1, lower bound above 1"}
#: Arms: the history that an answer stands on.
ARMS = ("with_events", "without")


def fitted_model(catalogue: Catalogue) -> FittedModel:
    """Return the hybrid fitted on train and validation rows, its blend and boosts from validation."""
    features, options = embed_frozen(catalogue), catalogue.hybrid_options
    options = options.model_copy(update={"sources": options.sources | {"transformer": None}})
    holdout = catalogue.holdout()
    settings = options.trials["hybrid"][0]
    scorer, _ = selection.fit_hybrid(holdout, holdout.train_set(features), settings, options, SEED)
    warm = catalogue.known.getnnz(axis=0) > 0
    return scorer.recipe.fit(catalogue.train_set(catalogue.known, warm, features))


def sampled_users(known: Csr, later: Csr) -> Indices:
    """Return users with a history and with later rows, drawn by seed."""
    able = np.flatnonzero((np.diff(known.indptr) > 0) & (np.diff(later.indptr) > 0))
    return np.sort(np.random.default_rng(SEED).permutation(able)[:USERS])


def steps_of(order: Csr, n_known: int, user: int) -> tuple[Csr, Csr]:
    """Return what a user has taken before each later row, places as values, and that row (S, n_items).

    Args:
        order: places of the user's rows, of the fit and later, from 1 (1, n_items).
        n_known: rows of the fit.
        user: row of ``order``.
    """
    row = sparse.csr_matrix(order[[user]])
    _, items = in_order(row)
    n_steps = min(len(items) - n_known, ROWS)
    before = sparse.vstack([first_of_each_row(row, n_known + step) for step in range(n_steps)])
    cells = (np.ones(n_steps, np.float32), (np.arange(n_steps), items[n_known : n_known + n_steps]))
    return sparse.csr_matrix(before), sparse.csr_matrix(cells, shape=before.shape)


def answers(model: FittedModel, catalogue: Catalogue, order: Csr, user: int) -> dict[str, dict[str, float]]:
    """Return a user's mean NDCG@20 and hit rate over the later rows, by arm."""
    n_known = int(np.diff(catalogue.known.indptr)[user])
    before, positives = steps_of(order, n_known, user)
    of_fit = first_of_each_row(before, n_known)
    known, every = {"with_events": before, "without": of_fit}, {c.MIXED: np.ones(order.shape[1], bool)}
    profile = np.repeat(catalogue.side_features.profiles[[user]], before.shape[0], axis=0)
    values = {}
    for arm, history in known.items():
        query = Query.of(history, history, profile=profile, user_index=np.full(before.shape[0], user))
        listed = recommend(model, query, before, every, K, catalogue.tie_rank)[c.MIXED][0]
        hit = hits(listed, positives)
        values[arm] = {
            "ndcg": float(ndcg(hit, np.diff(positives.indptr), K).mean()),
            "hit": float(hit.any(axis=1).mean()),
        }
    return values | {"rows": {"n": float(before.shape[0])}}


def replay(catalogue: Catalogue, commit: str) -> JsonObject:
    """Return every sampled user's values, those of an interrupted replay of this commit first."""
    identity = [SEED, USERS, ROWS, K, catalogue.data["fingerprint"], commit[:12]]
    stored: JsonObject = json.loads(PARTIAL.read_text()) if PARTIAL.is_file() else {}
    done: JsonObject = stored.get("users", {}) if stored.get("identity") == identity else {}
    rows = catalogue.data["interactions"]
    order = order_matrix(rows, catalogue.users, catalogue.items, (c.TRAIN, c.VALIDATION, c.TEST))
    sampled = sampled_users(catalogue.known, catalogue.matrix(c.TEST))
    users = [int(user) for user in sampled if str(user) not in done]
    if not users:
        return done
    model = fitted_model(catalogue)
    for start in range(0, len(users), BLOCK):
        done |= {str(user): answers(model, catalogue, order, user) for user in users[start : start + BLOCK]}
        PARTIAL.parent.mkdir(parents=True, exist_ok=True)
        write(PARTIAL, {"identity": identity, "users": done})
    return done


def compare(users: dict[str, Any]) -> dict[str, float]:
    """Return means of both arms, and the paired difference with its interval."""
    figures = {"users": float(len(users)), "rows": sum(values["rows"]["n"] for values in users.values())}
    for metric in ("ndcg", "hit"):
        arms = {arm: np.array([values[arm][metric] for values in users.values()]) for arm in ARMS}
        compared = asdict(paired_bootstrap(arms["with_events"], arms["without"], seed=SEED))
        figures |= {f"{arm}_{metric}": float(values.mean()) for arm, values in arms.items()}
        names = {"difference": "", "low": "_low", "high": "_high"}
        figures |= {f"difference_{metric}{ending}": compared[name] for name, ending in names.items()}
        figures |= {f"with_events_to_without_{metric}": compared["ratio"]}
        figures |= {f"with_events_to_without_{metric}_{side}": compared[f"ratio_{side}"] for side in ("low", "high")}
    return figures


def main() -> None:
    """Replay and write."""
    logging.disable(logging.INFO)
    made = about("make bench-replay", [SEED])
    catalogue = prepare("ml1m", SEED, data_processing=PROTOCOLS["by_date"])
    seconds, users = seconds_of(lambda: replay(catalogue, made["commit"]))
    headline = rounded(compare(users) | {"seconds": seconds})
    write(RESULTS / "replay.json", {"headline": headline, "targets": TARGETS} | made)
    print(json.dumps(headline, indent=2))


if __name__ == "__main__":
    main()
