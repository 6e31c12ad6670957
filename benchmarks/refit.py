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
from tailor.config import parse
from tailor.data.config import DataProcessingOptions
from tailor.data.interactions import keep_items
from tailor.evaluation.protocol import positives
from tailor.hybrid.refit import gather_all, refit
from tailor.hybrid.scorer import HybridScorer
from tailor.metrics.accuracy import hits, ndcg
from tailor.metrics.significance import paired_bootstrap
from tailor.models.listing import recommend

K, ENVIRONMENTS = 20, ("base", "anime", "ml1m")
TARGETS = {"*_difference_low": ">= 0, or the interval holds 0"}


def measure(catalogue: Catalogue, model: HybridScorer) -> dict[str, NDArray[np.float64]]:
    """Return NDCG per user that is not new (U,) by candidate set."""
    users = np.flatnonzero(catalogue.users[c.BUCKET] != "new")
    rules = catalogue.test_rules
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
    on_train = catalogue.blended(vectors)
    more = keep_items(catalogue.known, catalogue.warm)
    on_both = refit(on_train, catalogue.train_set(more, catalogue.warm, vectors))
    result: dict[str, float] = {}
    before, after = measure(catalogue, on_train), measure(catalogue, on_both)
    for name in before:
        compared = paired_bootstrap(after[name], before[name])
        result |= {f"{name}_train": float(np.nanmean(before[name])), f"{name}_both": float(np.nanmean(after[name]))}
        result |= {f"{name}_difference_low": compared.low, f"{name}_difference_high": compared.high}
    tables = (catalogue.data[name] for name in ("interactions", "users", "items", "feature_encoders"))
    options = parse(DataProcessingOptions, catalogue.params["data_processing"], "data_processing")
    everything = gather_all(*tables, options, 0)
    result["refit_seconds"], _ = seconds_of(lambda: refit(on_train, everything))
    return rounded(result)


def main() -> None:
    """Measure three catalogues, or those named on the command line; write as each is done."""
    headline: dict[str, float] = {}
    for env in sys.argv[1:] or ENVIRONMENTS:
        headline |= {f"{NAMES[env]}_{key}": value for key, value in one_catalogue(env).items()}
        result = {"headline": headline, "targets": TARGETS, "size": {"k": K}}
        command = f"make bench-refit {' '.join(sys.argv[1:])}".strip()
        write(RESULTS / "refit.json", result | about(command, [0]))
    print(json.dumps(headline, indent=2))


if __name__ == "__main__":
    main()
