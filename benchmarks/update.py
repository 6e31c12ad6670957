"""`make bench-update`: new interactions in a served model, beside a fit of everything, on time-ordered MovieLens-1M.

All rows in the order of time: the first 70 % are fitted, the next 10 % come as an update, the last 20 % are asked for.
Three models are judged on the same test rows: the one that knows no update, the updated one, and one whose sources are
fitted on both parts (same options, gate and boosts).
"""

import logging
import time
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
from catalogues import ROOT, prepare
from cold_start import about, embed, lm_options, write
from protocols import PROTOCOLS
from scipy import sparse

from tailor import columns as c
from tailor.config import parse
from tailor.data.hashing import tie_ranks
from tailor.hybrid import selection
from tailor.hybrid.holdout import Holdout
from tailor.hybrid.scorer import Hybrid
from tailor.metrics.accuracy import hits, ndcg
from tailor.metrics.significance import paired_bootstrap
from tailor.models.listing import recommend
from tailor.hybrid.config import HybridOptions
from tailor.serving.recommender import Recommender
from tailor.serving.update import drift, with_interactions

K, SEED, SWEEPS = 20, 0, (1, 2, 4)
TARGETS = {"sweeps_*_ndcg_over_refit": "about 1", "sweeps_1_seconds_over_refit": "< 1"}


def values(engine: Any, known: sparse.csr_matrix, test: sparse.csr_matrix, ties: np.ndarray) -> np.ndarray:
    """Return NDCG@20 of every user with a history and with test rows."""
    users = np.flatnonzero((np.diff(known.indptr) > 0) & (np.diff(test.indptr) > 0))
    every = {c.MIXED: np.ones(known.shape[1], dtype=bool)}
    found = recommend(engine, users, known[users], known[users], every, K, ties)[c.MIXED][0]
    return ndcg(hits(found, sparse.csr_matrix(test[users])), np.diff(test[users].indptr), K)


def main() -> None:
    """Measure and write."""
    logging.disable(logging.INFO)
    d = prepare("ml1m", SEED, data_processing=PROTOCOLS["by_date"])
    features = embed(d, None, lm_options(d, {"peft": {"peft_type": "FROZEN"}}))
    h = Holdout.build(d.matrix(c.TRAIN), d.matrix(c.VALIDATION), d.items, SEED, d.matrix("order"), told=d.told)
    o = parse(HybridOptions, d.params["hybrid_cf"], "hybrid_cf")
    scorer, _ = selection.fit_hybrid(h, features, o.trials["hybrid"][0], o, SEED)
    ties, test = tie_ranks(SEED, d.items[c.ITEM]), d.matrix(c.TEST)
    before = Hybrid(scorer.options, SEED, scorer.gate, told=d.told).fit(d.matrix(c.TRAIN), d.warm, features)
    ids = d.items[c.ITEM].to_numpy(dtype=object)
    served = Recommender(before, d.users[c.USER].to_numpy(dtype=object), ids, d.matrix(c.TRAIN), ties)
    came = d.data["interactions"].query("split == 'validation'")[[c.USER, c.ITEM, c.TIMESTAMP]]
    updates, seconds = {}, {}
    for sweeps in SWEEPS:
        started = time.perf_counter()
        updates[sweeps] = with_interactions(served, came, sweeps)
        seconds[sweeps] = time.perf_counter() - started
    known = updates[1].served.history
    warm = d.warm | (np.bincount(known.indices, minlength=known.shape[1]) > 0)
    started = time.perf_counter()
    refit = Hybrid(scorer.options, SEED, scorer.gate, told=d.told).fit(known, warm, features)
    refit_seconds = time.perf_counter() - started
    of_refit, of_before = (values(engine, known, test, ties) for engine in (refit, before))
    told: dict[str, float] = {
        "interactions_before": float(served.history.nnz),
        "interactions_that_came": float(len(came)),
        "test_users": float(len(of_refit)),
        "not_updated_ndcg": float(np.nanmean(of_before)),
        "refit_ndcg": float(np.nanmean(of_refit)),
        "refit_seconds": refit_seconds,
    }
    compared = {}
    for sweeps, update in updates.items():
        found = values(update.served.engine, known, test, ties)
        compared[sweeps] = asdict(paired_bootstrap(found, of_refit, seed=SEED))
        told |= {
            f"sweeps_{sweeps}_ndcg": float(np.nanmean(found)),
            f"sweeps_{sweeps}_ndcg_over_refit": compared[sweeps]["ratio"],
            f"sweeps_{sweeps}_ratio_low": compared[sweeps]["ratio_low"],
            f"sweeps_{sweeps}_ratio_high": compared[sweeps]["ratio_high"],
            f"sweeps_{sweeps}_seconds_over_refit": seconds[sweeps] / refit_seconds,
        }
    table: pd.DataFrame = drift(served, updates[1], came, 1000, K, SEED)
    told |= {f"psi_{row.distribution}": row.psi for row in table.itertuples()}
    result = {"headline": {k: round(v, 4) for k, v in told.items()}, "targets": TARGETS, "against_refit": compared}
    write(ROOT / "benchmarks" / "results" / "update.json", result | about("make bench-update", [SEED]))
    print(result["headline"])


if __name__ == "__main__":
    main()
