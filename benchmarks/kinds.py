"""`make bench-kinds`: kinds of behaviour as strengths, beside all kinds alike and the strongest kind alone.

MovieLens-100K with ratings as kinds: 1 and 2 are ``not_for_me`` (bars the pair), 3 is a ``view``, 4 a ``cart``, 5 a
``buy``. Lists are measured on the 5s of the test window alone, and leave out the same pairs, whatever a model has
learnt from. Arms:

* ``every_row``: all ratings alike, those of 1 and 2 too (what a catalogue without kinds learns from);
* ``alike``: 3, 4 and 5 alike;
* ``buys``: 5 alone;
* ``strengths``: view .2, cart .6, buy 1;
* ``searched``: view and cart as a search on validation chose them, for EASE.

Models: the first option sets of EASE, iALS and SLIT; with the argument ``hybrid`` also the hybrid of the first option
set without the transformer on frozen embeddings. Warm NDCG@20; differences with paired bootstraps over the users of all
seeds.
An interrupted run goes on: what a seed gave is written to data/kinds.json, by commit.
"""

import json
import logging
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import optuna
import pandas as pd
from catalogues import RESULTS, ROOT, Catalogue, about, known_user_ndcg, prepare, rounded, write
from cold_start import embed_frozen
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from numpy.typing import NDArray
from scipy import sparse

from tailor import columns as c
from tailor.data.events import EventOptions
from tailor.data.interactions import binary, blocked_pairs, keep_items, order_matrix, restrict_to
from tailor.hybrid.strengths import searched_kinds, with_other_strengths
from tailor.metrics.significance import paired_bootstrap
from tailor.models.base import FittedModel, Floats
from tailor.models.registry import build
from tailor.types import JsonObject

K, SEEDS, TRIALS = 20, (0, 1, 2), 20
KINDS = {1.0: "not_for_me", 2.0: "not_for_me", 3.0: "view", 4.0: "cart", 5.0: "buy"}
WEIGHTS: dict[str, Any] = {"view": 0.2, "cart": 0.6, "buy": 1.0, "not_for_me": "bar"}
ARMS = ("every_row", "alike", "buys", "strengths", "searched")
BASELINES = ("ease", "ials", "slit")
HYBRID = "hybrid"
PARTIAL = ROOT / "data" / "kinds.json"
#: Which arms are compared: with intervals.
PAIRS = [(name, base) for name in ("strengths", "searched") for base in ("every_row", "alike", "buys")]
TARGETS = {"*_strengths_to_alike, *_strengths_to_buys": "> 1, lower bound above 1"}


def raw_interactions() -> pd.DataFrame:
    """Return MovieLens-100K as its dataset has it, with a column of kinds."""
    root = RESULTS.parents[1]
    bootstrap_project(root)
    with KedroSession.create(project_path=root) as session:
        raw: pd.DataFrame = session.load_context().catalog.load("raw_interactions")
    return raw.assign(event=raw["rating:float"].astype(float).map(KINDS))


def catalogue_of(raw: pd.DataFrame, seed: int) -> Catalogue:
    """Return the catalogue with strengths: its split, and the rows of each kind."""
    mapped = {"user_id": "user_id:token", "item_id": "item_id:token", "timestamp": "timestamp:float", "event": "event"}
    options = {"columns": {"interactions": [mapped]}, "events": {"weights": WEIGHTS}}
    sources = {"sources": {"transformer": None}}
    return prepare("base", seed, {"raw_interactions": raw}, data_processing=options, hybrid_cf=sources)


def arm_of(catalogue: Catalogue, name: str, searched: dict[str, float]) -> Catalogue:
    """Return the catalogue as an arm learns from it: rows of train, their order and strengths."""
    data, strengths = catalogue.data, catalogue.data["strength_matrix"]
    train, changed = catalogue.matrix(c.TRAIN), strengths.copy()
    if name == "every_row":
        labels = (c.TRAIN, c.VALIDATION, c.NEW_USER, c.BLOCKED)
        blocked = keep_items(blocked_pairs(strengths, strengths.shape), catalogue.warm)
        order = order_matrix(data["interactions"], catalogue.users, catalogue.items, labels)
        data = data | {"order_matrix": order, "reveal_order_matrix": order}
        train, changed.data[:] = sparse.csr_matrix(train + blocked), 1.0
    elif name == "alike":
        changed.data[strengths.data > 0] = 1.0
    elif name == "buys":
        train = restrict_to(train, sparse.csr_matrix(strengths >= 1, dtype=np.float32))
    elif name == "searched":
        for kind, strength in searched.items():
            changed.data[np.isclose(strengths.data, WEIGHTS[kind])] = strength
    return replace(catalogue, data=data | {"strength_matrix": changed, "train_matrix": binary(train)})


def search(catalogue: Catalogue, vectors: Floats) -> dict[str, float]:
    """Return the strengths of view and cart with the best warm NDCG of EASE on validation."""
    holdout, known = catalogue.holdout(), searched_kinds(EventOptions(weights=WEIGHTS))
    settings = catalogue.hybrid_options.trials["ease"][0]

    def value(trial: optuna.Trial) -> float:
        other = {kind: trial.suggest_float(kind, 0.02, 1.0, log=True) for kind in known}
        changed = with_other_strengths(holdout, known, other)
        model = build("ease", settings, catalogue.seed).fit(changed.train_set(vectors))
        return changed.measure(model, K)[c.WARM]

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=catalogue.seed))
    study.enqueue_trial(known)
    study.enqueue_trial(dict.fromkeys(known, 1.0))
    study.optimize(value, n_trials=TRIALS)
    return dict(study.best_params)


def models(arm: Catalogue, vectors: Floats) -> dict[str, FittedModel]:
    """Fit the models on what an arm learns from."""
    options = arm.hybrid_options
    data = arm.train_set(arm.matrix(c.TRAIN), arm.warm, vectors)
    fitted = {name: build(name, options.trials[name][0], arm.seed).fit(data) for name in BASELINES}
    return fitted | {"hybrid": arm.blended(vectors)} if HYBRID in sys.argv else fitted


def one_seed(raw: pd.DataFrame, seed: int) -> tuple[dict[str, dict[str, NDArray[np.float64]]], dict[str, float]]:
    """Return warm NDCG per user by model and arm, and the strengths that were searched."""
    catalogue = catalogue_of(raw, seed)
    vectors = embed_frozen(catalogue)
    searched, values = search(catalogue, vectors), dict[str, dict[str, NDArray[np.float64]]]()
    for name in ARMS:
        arm = arm_of(catalogue, name, searched)
        rules = replace(catalogue.test_rules, histories=arm.test_rules.histories)
        for model, fitted in models(arm, vectors).items():
            values.setdefault(model, {})[name] = known_user_ndcg(catalogue, fitted, rules, K)[c.WARM]
    return values, searched


def measured(seed: int, commit: str) -> tuple[dict[str, dict[str, NDArray[np.float64]]], dict[str, float]]:
    """Return what :func:`one_seed` does, from an interrupted run of this commit where that has it."""
    stored: JsonObject = json.loads(PARTIAL.read_text()) if PARTIAL.is_file() else {}
    key = f"{commit[:12]} {seed} {HYBRID in sys.argv}"
    if key not in stored:
        values, searched = one_seed(raw_interactions(), seed)
        lists = {model: {name: of.tolist() for name, of in arms.items()} for model, arms in values.items()}
        stored[key] = [lists, searched]
        write(PARTIAL, stored)
    arrays = {model: {name: np.array(of) for name, of in arms.items()} for model, arms in stored[key][0].items()}
    return arrays, stored[key][1]


def main() -> None:
    """Measure every seed and write."""
    logging.disable(logging.INFO)
    made = about("make bench-kinds" + (f" WITH={HYBRID}" if HYBRID in sys.argv else ""), list(SEEDS))
    tests: dict[str, dict[str, list[NDArray[np.float64]]]] = {}
    found: dict[str, dict[str, float]] = {}
    for seed in SEEDS:
        values, found[str(seed)] = measured(seed, made["commit"])
        for model, arms in values.items():
            for name, per_user in arms.items():
                tests.setdefault(model, {}).setdefault(name, []).append(per_user)
    figures: dict[str, float] = {}
    for model, arms in tests.items():
        joined = {name: np.concatenate(parts) for name, parts in arms.items()}
        figures |= {f"{model}_{name}": float(np.nanmean(values)) for name, values in joined.items()}
        for name, base in PAIRS:
            compared, key = paired_bootstrap(joined[name], joined[base]), f"{model}_{name}_to_{base}"
            figures |= {key: compared.ratio, f"{key}_low": compared.ratio_low, f"{key}_high": compared.ratio_high}
    headline = rounded(figures)
    result = {"headline": headline, "targets": TARGETS, "searched": {s: rounded(found[s]) for s in found}}
    write(RESULTS / "kinds.json", result | made)
    print(json.dumps(headline, indent=2))


if __name__ == "__main__":
    main()
