"""`make bench-update`: new interactions in a served model, beside a fit of everything, on time-ordered MovieLens-1M.

All rows in the order of time: the first 70 % are fitted, the next 10 % come as an update, the last 20 % are asked for.
Three models are judged on the same test rows: the one that knows no update, the updated one, and one whose sources are
fitted on both parts (same options, blend and boosts). The transformer is trained for at most six epochs, so that the
benchmark ends within half an hour on two cores: more would make the refit longer, and not the update.
"""

import logging
from dataclasses import asdict
from functools import partial

import numpy as np
import pandas as pd
from catalogues import RESULTS, Catalogue, about, prepare, rounded, seconds_of, write
from cold_start import embed_frozen
from protocols import PROTOCOLS
from scipy import sparse

from tailor import columns as c
from tailor.hybrid import selection
from tailor.metrics.accuracy import hits, ndcg
from tailor.metrics.significance import paired_bootstrap
from tailor.models.base import Csr, FittedModel
from tailor.models.listing import recommend
from tailor.serving.update import Update, drift, with_interactions

K, SEED, SWEEPS, EPOCHS = 20, 0, (1, 2, 4), 6
TARGETS = {"sweeps_*_ndcg_over_refit": "about 1", "sweeps_1_seconds_over_refit": "<= .5"}


def values(model: FittedModel, catalogue: Catalogue, known: Csr) -> np.ndarray:
    """Return NDCG@20 of every user with a history and with test rows."""
    test = catalogue.matrix(c.TEST)
    users = np.flatnonzero((np.diff(known.indptr) > 0) & (np.diff(test.indptr) > 0))
    query, every = catalogue.histories(known).take(users), {c.MIXED: np.ones(known.shape[1], dtype=bool)}
    lists = recommend(model, query, query.history, every, K, catalogue.tie_rank)[c.MIXED][0]
    positives = sparse.csr_matrix(test[users])
    return ndcg(hits(lists, positives), np.diff(positives.indptr), K)


def compare(
    catalogue: Catalogue, updates: dict[int, tuple[float, Update]], refit: tuple[float, FittedModel], known: Csr
) -> tuple[dict[str, float], dict[int, dict[str, float]]]:
    """Return the figures of the updated models beside those of the refit, and the comparisons user by user."""
    refit_seconds, model = refit
    of_refit = values(model, catalogue, known)
    figures = {"test_users": float(len(of_refit)), "refit_ndcg": float(np.nanmean(of_refit))}
    figures["refit_seconds"] = refit_seconds
    compared = {}
    for sweeps, (seconds, update) in updates.items():
        of_update = values(update.recommender.model, catalogue, known)
        compared[sweeps] = asdict(paired_bootstrap(of_update, of_refit, seed=SEED))
        figures |= {
            f"sweeps_{sweeps}_ndcg": float(np.nanmean(of_update)),
            f"sweeps_{sweeps}_ndcg_over_refit": compared[sweeps]["ratio"],
            f"sweeps_{sweeps}_ratio_low": compared[sweeps]["ratio_low"],
            f"sweeps_{sweeps}_ratio_high": compared[sweeps]["ratio_high"],
            f"sweeps_{sweeps}_seconds_over_refit": seconds / refit_seconds,
        }
    return figures, compared


def main() -> None:
    """Measure and write."""
    logging.disable(logging.INFO)
    catalogue = prepare("ml1m", SEED, data_processing=PROTOCOLS["by_date"])
    features, options = embed_frozen(catalogue), catalogue.hybrid_options
    holdout, train = catalogue.holdout(), catalogue.matrix(c.TRAIN)
    held_out = holdout.train_set(features)
    settings = options.trials["hybrid"][0] | {"transformer": {"epochs": EPOCHS}}
    scorer, _ = selection.fit_hybrid(holdout, held_out, settings, options, SEED)
    before = scorer.recipe.fit(catalogue.train_set(train, catalogue.warm, features))
    recommender = catalogue.recommender(before, train)
    came = catalogue.data["interactions"].query("split == 'validation'")[[c.USER, c.ITEM, c.TIMESTAMP]]
    updates = {sweeps: seconds_of(partial(with_interactions, recommender, came, sweeps)) for sweeps in SWEEPS}
    known = updates[1][1].recommender.histories.history
    warm = catalogue.warm | (np.bincount(known.indices, minlength=known.shape[1]) > 0)
    refit = seconds_of(lambda: scorer.recipe.fit(catalogue.train_set(known, warm, features)))
    figures, compared = compare(catalogue, updates, refit, known)
    figures |= {
        "interactions_before": float(train.nnz),
        "interactions_that_came": float(len(came)),
        "not_updated_ndcg": float(np.nanmean(values(before, catalogue, known))),
    }
    table: pd.DataFrame = drift(recommender, updates[1][1], came, 1000, K, SEED)
    figures |= {f"psi_{row.distribution}": row.psi for row in table.itertuples()}
    result = {"headline": rounded(figures), "targets": TARGETS, "against_refit": compared}
    write(RESULTS / "update.json", result | about("make bench-update", [SEED]))
    print(result["headline"])


if __name__ == "__main__":
    main()
