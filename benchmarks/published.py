"""`make bench-published`: the field's leave-one-out tables, by the project's own configuration.

Catalogues: Amazon Beauty and Toys (5-core, as cut by S3-Rec; `python benchmarks/build_amazon.py` builds the tables) and
MovieLens-1M. Models are chosen on validation by the trials of ``published_trials.yml``, else of ``conf/``, and fitted
on *train alone*, as the published ones are: the validation row is in the histories at test, no model is fitted on it.
Every item is a candidate but those of the history. Recall and NDCG at 10: ``known``, over users whose test item has a
row in train or validation (the published users); ``all``, over all users; ``head`` and ``tail``, over those whose test
item is there; ``no_row``, over those whose test item has no train row. The hybrid is on embeddings of the frozen
encoder, boosts off; ``hybrid_without_text`` is the same without any text, ``hybrid_refit`` the same recipe fitted on
train and validation.

Each model of each catalogue is written when it is done; what is there is not measured again.
"""

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from catalogues import RESULTS, Catalogue, about, prepare, rounded, write
from cold_start import embed_frozen

from tailor import columns as c
from tailor.data.interactions import bucket_items
from tailor.hybrid import selection
from tailor.hybrid.model import Hybrid
from tailor.metrics.accuracy import hits, ndcg
from tailor.models import transformer_torch
from tailor.models.base import FittedModel, Floats, TrainSet
from tailor.models.listing import recommend
from tailor.models.registry import build

K = 10
#: Option sets by catalogue and model; of Beauty's, ``make run`` of Beauty, Toys and both tries one.
TRIALS: dict[str, dict[str, list[dict[str, Any]]]] = yaml.safe_load(
    Path(__file__).with_name("published_trials.yml").read_text()
)
CATALOGUES = {"beauty": "beauty", "toys": "toys", "ml1m-loo": "ml1m_loo"}
BASELINES = ("ease", "transition_knn", "slit", "sasrec")
MODELS = (*BASELINES, "hybrid", "hybrid_refit", "hybrid_without_text")
#: Recall@10 and NDCG@10 of SASRec with a sampled softmax and of eSASRec (Tikhonovich et al. 2025), on ``known``.
PUBLISHED = {
    "beauty_published_sasrec": (0.0921, 0.0531),
    "beauty_published_esasrec": (0.0928, 0.0523),
    "ml1m_loo_published_esasrec": (0.3133, 0.1772),
}
TARGETS = {
    "beauty_hybrid_known_recall": ">= .113",
    "beauty_hybrid_known_ndcg": ">= .069",
    "toys_hybrid_known_recall": ">= .125",
    "toys_hybrid_known_ndcg": ">= .078",
}


def measure(model: FittedModel, catalogue: Catalogue) -> dict[str, float]:
    """Return recall and NDCG at 10 of the one test item of each user."""
    rules, test = catalogue.test_rules, catalogue.matrix(c.TEST)
    users = np.flatnonzero(np.diff(test.indptr) > 0)
    positives = test[users]
    every = {c.MIXED: rules.candidates[c.MIXED]}
    lists = recommend(model, rules.histories.take(users), rules.seen[users], every, K, catalogue.tie_rank)
    hit = hits(lists[c.MIXED][0], positives)
    gain, hit = ndcg(hit, np.diff(positives.indptr), K), hit.any(axis=1)
    item = positives.indices
    groups = {"known": rules.item_groups[c.KNOWN][item], "all": np.ones(len(item), bool)}
    groups |= {bucket: bucket_items(catalogue.items, bucket)[item] for bucket in (c.HEAD, c.TAIL)}
    groups["no_row"] = ~catalogue.warm[item]
    of_group = {f"{name}_recall": hit[group].mean() for name, group in groups.items()}
    of_group |= {f"{name}_ndcg": gain[group].mean() for name, group in groups.items()}
    return {name: float(value) for name, value in of_group.items()}


def with_trials(catalogue: Catalogue) -> Catalogue:
    """Give a catalogue the option sets of the benchmark."""
    params = catalogue.params["hybrid_cf"]
    trials = TRIALS.get(catalogue.env, params["trials"])
    return replace(catalogue, params=catalogue.params | {"hybrid_cf": params | {"trials": trials}})


def fit_baseline(name: str, catalogue: Catalogue, vectors: Floats) -> FittedModel:
    """Choose a baseline's options on validation, and fit it on train."""
    options = catalogue.hybrid_options.model_copy(update={"baselines": [name]})
    trials = {model: sets for model, sets in options.trials.items() if model == name}
    options = options.model_copy(update={"trials": trials})
    holdout = catalogue.holdout()
    chosen = selection.select_baselines(holdout, holdout.train_set(vectors), options, catalogue.seed)[0]
    return build(name, chosen[name], catalogue.seed).fit(_train(catalogue, vectors))


def choose_hybrid(catalogue: Catalogue, vectors: Floats) -> Hybrid:
    """Choose the hybrid's options and weights on validation."""
    options, holdout = catalogue.hybrid_options, catalogue.holdout()
    data = holdout.train_set(vectors)
    chosen, _, scorer = selection.select_hybrid(holdout, data, options, catalogue.seed)
    blended, _ = selection.fit_hybrid(holdout, data, chosen, options, catalogue.seed, scorer)
    print(
        chosen,
        {name: round(float(w), 3) for name, w in zip(blended.source_names, blended.blend.warm.base, strict=True)},
    )
    return blended.recipe


def fit_hybrid(recipe: Hybrid, name: str, catalogue: Catalogue, vectors: Floats) -> FittedModel:
    """Fit the hybrid on train, or on train and validation; boosts are off."""
    data = _train(catalogue, vectors)
    if name == "hybrid_refit":
        data = catalogue.train_set(catalogue.known, catalogue.known.sum(axis=0).A1 > 0, vectors)
    fitted = recipe.fit(data)
    return fitted.with_boosts(fitted.boosts.off())


def _train(catalogue: Catalogue, vectors: Floats) -> TrainSet:
    return catalogue.train_set(catalogue.matrix(c.TRAIN), catalogue.warm, vectors)


def one_catalogue(
    env: str, models: Sequence[str], done: dict[str, float], save: Callable[[dict[str, float]], None]
) -> None:
    """Measure the models that are not done."""
    name = CATALOGUES[env]
    left = [model for model in models if f"{name}_{model}_known_ndcg" not in done]
    if not left:
        return
    catalogue = with_trials(prepare(env, 0))
    frozen = embed_frozen(catalogue)
    recipes: dict[int, Hybrid] = {}
    for model in left:
        transformer_torch.forget()  # a fit that another model shares counts in the minutes of both
        start, vectors = time.perf_counter(), frozen[:, :0] if model == "hybrid_without_text" else frozen
        if model in BASELINES:
            fitted = fit_baseline(model, catalogue, vectors)
        else:
            width = vectors.shape[1]
            recipes[width] = recipes.get(width) or choose_hybrid(catalogue, vectors)
            fitted = fit_hybrid(recipes[width], model, catalogue, vectors)
        values = {"minutes": (time.perf_counter() - start) / 60} | measure(fitted, catalogue)
        save({f"{name}_{model}_{key}": value for key, value in rounded(values).items()})


def main() -> None:
    """Measure what is named on the command line, ``beauty`` or ``beauty/hybrid,sasrec``, or everything."""
    path = RESULTS / "published.json"
    published = {f"{name}_recall": of[0] for name, of in PUBLISHED.items()}
    published |= {f"{name}_ndcg": of[1] for name, of in PUBLISHED.items()}

    def save(values: dict[str, float]) -> None:
        earlier = json.loads(path.read_text())["headline"] if path.is_file() else published
        content = {"headline": earlier | values, "targets": TARGETS, "size": {"k": K}}
        write(path, content | about("make bench-published", [0]))
        print(json.dumps(values, indent=2), flush=True)

    for words in sys.argv[1:] or CATALOGUES:
        env, _, models = words.partition("/")
        chosen = models.split(",") if models else MODELS
        one_catalogue(env, chosen, json.loads(path.read_text())["headline"] if path.is_file() else {}, save)


if __name__ == "__main__":
    main()
