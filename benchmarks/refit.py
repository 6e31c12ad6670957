"""`make bench-refit`: what it is worth, and what it takes, to fit the chosen recipe on more than the train rows.

The registered model is the recipe that validation chose, fitted on every interaction; what that gains cannot be
measured on rows it knows. Measured is the step before: the same recipe (sources, blend, operating point, frozen
embeddings) fitted on train, and on train and validation, on the same test rows. Histories are the same in both, and so
are the items that count as warm; seconds are those of the fit on everything.

Whether the adapter should be refitted too is measured likewise: tuned on train rows with pseudo-cold A and B left out,
as a run does it; and again for as many epochs on train and validation rows, B no longer left out, with a teacher
fitted on the same. Both adapters stand under the same blend, sources fitted on train and validation.
"""

import json
import sys
from dataclasses import replace

import numpy as np
from catalogues import NAMES, RESULTS, Catalogue, about, prepare, rounded, seconds_of, write
from cold_start import embed, embed_frozen, lm_options, tuned
from numpy.typing import NDArray

from tailor import columns as c
from tailor.config import parse
from tailor.data.config import DataProcessingOptions
from tailor.data.interactions import keep_items
from tailor.evaluation.protocol import positives
from tailor.hybrid.refit import gather_all, refit
from tailor.hybrid.scorer import HybridScorer
from tailor.lm.trainer import tune
from tailor.lm.training_data import TrainingData
from tailor.metrics.accuracy import hits, ndcg
from tailor.metrics.significance import paired_bootstrap
from tailor.models.base import Csr, TrainSet
from tailor.models.ials import IALS
from tailor.models.listing import recommend
from tailor.options import FeatureEngineeringOptions

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


def one_catalogue(catalogue: Catalogue) -> dict[str, float]:
    """Measure a catalogue; return figures by candidate set, and the seconds of the fit on everything."""
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


def refitted_adapter(catalogue: Catalogue) -> dict[str, float]:
    """Measure what refitting the adapter adds to refitting everything else; return figures by candidate set."""
    options = lm_options(catalogue, {})
    seconds, (adapter, details) = seconds_of(lambda: tuned(catalogue, options))
    vectors = embed(catalogue, adapter, options)
    scorer = catalogue.blended(vectors)
    more = keep_items(catalogue.known, catalogue.warm)
    kept = refit(scorer, catalogue.train_set(more, catalogue.warm, vectors))
    longer = options.model_copy(update={"epochs": max(int(details["epoch"]), 1)})
    of_more = more_training_data(catalogue, more)
    again, (adapter, _) = seconds_of(lambda: tune(of_more, longer, catalogue.seed))
    anew = embed(catalogue, adapter, options)
    both = scorer.recipe.fit(catalogue.train_set(more, catalogue.warm, anew))
    result = {"adapter_seconds": seconds, "adapter_refit_seconds": again, "adapter_epochs": float(longer.epochs)}
    before, after = measure(catalogue, kept), measure(catalogue, both)
    for name in before:
        compared = paired_bootstrap(after[name], before[name])
        result |= {f"adapter_{name}_kept": float(np.nanmean(before[name]))}
        result |= {f"adapter_{name}_refitted": float(np.nanmean(after[name]))}
        result |= {f"adapter_{name}_difference_{end}": getattr(compared, end) for end in ("low", "high")}
    return rounded(result)


def more_training_data(catalogue: Catalogue, more: Csr) -> TrainingData:
    """Return what the adapter learns from train and validation rows: all warm items but pseudo-cold A."""
    data, stop_on = catalogue.training_data(), catalogue.pseudo_cold("A")
    trainable = catalogue.warm & ~stop_on
    seen = keep_items(more, trainable)
    options = parse(FeatureEngineeringOptions, catalogue.params["feature_engineering"], "feature_engineering")
    teacher = IALS(options.teacher, catalogue.seed).fit(TrainSet.of(seen, trainable))
    return replace(
        data,
        user_factors=teacher.fold_in(seen).astype(np.float32),
        item_factors=teacher.item_factors.astype(np.float32),
        train=more,
        trainable=trainable,
    )


def main() -> None:
    """Measure three catalogues, or those named on the command line; write as each is done."""
    path = RESULTS / "refit.json"
    earlier = json.loads(path.read_text()) if path.is_file() and sys.argv[1:] else {}
    headline, commits = earlier.get("headline", {}), earlier.get("commits", {})
    for env in sys.argv[1:] or ENVIRONMENTS:
        catalogue = prepare(env, 0)
        figures = one_catalogue(catalogue) | refitted_adapter(catalogue)
        headline |= {f"{NAMES[env]}_{key}": value for key, value in figures.items()}
        made = about("make bench-refit", [0])
        commits |= {NAMES[env]: made["commit"]}
        write(path, {"headline": headline, "targets": TARGETS, "size": {"k": K}, "commits": commits} | made)
    print(json.dumps(headline, indent=2))


if __name__ == "__main__":
    main()
