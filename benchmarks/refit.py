"""`make bench-refit`: what it is worth, and what it takes, to fit the chosen recipe on more than the train rows.

The registered model is the recipe that validation chose, fitted on every interaction; what that gains cannot be
measured on rows it knows. Measured is the step before: the same recipe (sources, blend, operating point, frozen
embeddings) fitted on train, and on train and validation, on the same test rows. Histories are the same in both, and so
are the items that count as warm; seconds are those of the fit on everything.
"""

import json
import sys

import numpy as np
from catalogues import NAMES, RESULTS, Catalogue, about, prepare, rounded, seconds_of, write
from cold_start import embed_frozen
from numpy.typing import NDArray

from tailor import columns as c
from tailor.data.interactions import keep_items
from tailor.evaluation.protocol import positives, test_protocol
from tailor.hybrid.model import Hybrid
from tailor.hybrid.operating_point import fit_blend
from tailor.hybrid.refit import gather_all, refit
from tailor.hybrid.scorer import HybridScorer
from tailor.metrics.accuracy import hits, ndcg
from tailor.metrics.significance import paired_bootstrap
from tailor.models.listing import recommend

K, ENVIRONMENTS = 20, ("base", "anime", "ml1m")
TARGETS = {"*_difference_low": ">= 0, or the interval holds 0"}


def chosen(catalogue: Catalogue, vectors: NDArray[np.float32]) -> HybridScorer:
    """Return the recipe of the first option set, blended on validation and fitted on train."""
    options, holdout = catalogue.hybrid_options, catalogue.holdout()
    recipe = Hybrid(options.hybrid_config(options.trials["hybrid"][0]), catalogue.seed)
    scorer = recipe.fit(holdout.train_set(vectors))
    blend = fit_blend(scorer, holdout, options.blend, options.k, catalogue.seed)
    blended = scorer.with_blend(blend.weights).with_boosts(blend.boosts)
    return blended.recipe.fit(catalogue.train_set(catalogue.matrix(c.TRAIN), catalogue.warm, vectors))


def measure(catalogue: Catalogue, model: HybridScorer) -> dict[str, NDArray[np.float64]]:
    """Return NDCG per user that is not new (U,) by candidate set."""
    users = np.flatnonzero(catalogue.users[c.BUCKET] != "new")
    names = (c.TRAIN, c.VALIDATION, c.COLD_UNUSED)
    known = {name: catalogue.matrix(name) for name in names} | {"order": catalogue.data["order_matrix"]}
    rules = test_protocol(catalogue.items, side_features=catalogue.data["side_features"], **known)
    of_test = catalogue.data["test_matrix"] + catalogue.data["cold_matrix"]
    lists = recommend(model, rules.histories.take(users), rules.seen[users], rules.candidates, K, catalogue.tie_rank)
    figures = {}
    for name in (c.WARM, c.COLD, c.MIXED):
        relevant = positives(of_test, rules, name)[users]
        figures[name] = ndcg(hits(lists[name][0], relevant), np.diff(relevant.indptr), K)
    return figures


def one_catalogue(env: str) -> dict[str, float]:
    """Measure a catalogue; return figures by candidate set, and the seconds of the fit on everything."""
    catalogue = prepare(env, 0)
    vectors = embed_frozen(catalogue)
    on_train = chosen(catalogue, vectors)
    more = keep_items(catalogue.known, catalogue.warm)
    on_both = refit(on_train, catalogue.train_set(more, catalogue.warm, vectors))
    result: dict[str, float] = {}
    before, after = measure(catalogue, on_train), measure(catalogue, on_both)
    for name in before:
        compared = paired_bootstrap(after[name], before[name])
        result |= {f"{name}_train": float(np.nanmean(before[name])), f"{name}_both": float(np.nanmean(after[name]))}
        result |= {f"{name}_difference_low": compared.low, f"{name}_difference_high": compared.high}
    tables = (catalogue.data[name] for name in ("interactions", "users", "items", "feature_encoders"))
    share = catalogue.params["data_processing"]["head_share"]
    everything = gather_all(*tables, ordered=bool(catalogue.data["order_matrix"].nnz), head_share=share, seed=0)
    result["refit_seconds"], _ = seconds_of(lambda: refit(on_train, everything))
    return rounded(result)


def main() -> None:
    """Measure three catalogues, or those named on the command line, and write."""
    chosen_environments = sys.argv[1:] or ENVIRONMENTS
    results = {NAMES[env]: one_catalogue(env) for env in chosen_environments}
    headline = {f"{name}_{key}": value for name, result in results.items() for key, value in result.items()}
    if not sys.argv[1:]:
        result = {"headline": headline, "targets": TARGETS, "size": {"k": K}}
        write(RESULTS / "refit.json", result | about("make bench-refit", [0]))
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
