"""`make bench-lm`: what tuning the language model is worth for cold items, and what it costs in time.

Arms: the frozen encoder, LoRA, full tuning. Each arm's embeddings go into the same text-prior iALS, its regularization
λ chosen by warm validation lists and its ridge ρ by pseudo-cold B, with the same trials; then one fit on all of train
and one look at test.
"""

import logging
import sys
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from catalogues import NAMES, RESULTS, Catalogue, about, prepare, rounded, write
from cold_start import embed, fit, lm_options, parameters, per_user, tuned
from lm_speed import encoding, training
from scipy import sparse

from tailor import columns as c
from tailor.metrics.significance import paired_bootstrap

RESULT = RESULTS / "lm.json"
PLAN = {"base": (0, 1, 2), "anime": (0, 1), "ml1m": (0, 1)}
ARMS: dict[str, dict[str, Any]] = {
    "frozen": {"peft": {"peft_type": "FROZEN"}},
    "lora": {},
    "full": {"peft": {"peft_type": "FULL"}, "learning_rate": 5e-5, "masked_lm": {"learning_rate": 5e-5}},
}
RIDGES, REGULARIZATIONS = (5.0, 0.3, 1.0, 30.0), (0.003, 0.01, 0.03)
FITTED_BY = ("alpha", "regularization", "lambda_item_feature")
Values = dict[str, np.ndarray]


def choose(catalogue: Catalogue, vectors: np.ndarray) -> dict[str, Any]:
    """Choose the regularization by warm validation lists, then the ridge by pseudo-cold B; six fits for every arm."""
    held_out, validation = catalogue.pseudo_cold("B"), catalogue.matrix(c.VALIDATION)
    trainable, candidates = catalogue.warm & ~held_out, ~catalogue.cold & ~held_out
    truth = catalogue.known
    tried: list[tuple[float, float, dict[str, Any]]] = []

    def attempt(ridge: float, regularization: float) -> None:
        settings = {"alpha": 0.1, "regularization": regularization, "lambda_item_feature": ridge}
        model, users = fit(catalogue, vectors, trainable, settings)
        cold = per_user(catalogue, model.item_factors, users, held_out, truth)
        warm = per_user(catalogue, model.item_factors, users, candidates, validation, catalogue.matrix(c.TRAIN))
        tried.append((float(np.nanmean(warm)), float(np.nanmean(cold)), settings))

    for regularization in REGULARIZATIONS:
        attempt(RIDGES[0], regularization)
    best = max(tried, key=lambda t: t[0])[2]["regularization"]
    for ridge in RIDGES[1:]:
        attempt(ridge, best)
    same = [t for t in tried if t[2]["regularization"] == best]
    warm, cold, settings = max(same, key=lambda t: t[1])
    return settings | {"pseudo_cold_b": round(cold, 4), "validation_warm": round(warm, 4)}


def look_at_test(catalogue: Catalogue, vectors: np.ndarray, settings: dict[str, Any]) -> Values:
    """Fit on all of train; return per-user NDCG@20 of cold and warm lists."""
    model, users = fit(catalogue, vectors, catalogue.warm, {k: v for k, v in settings.items() if k in FITTED_BY})
    cold, unused = catalogue.matrix(c.COLD), catalogue.matrix(c.COLD_UNUSED)
    every = sparse.csr_matrix(cold + unused)
    return {
        "cold": per_user(catalogue, model.item_factors, users, catalogue.cold, cold, unused),
        "cold_all": per_user(catalogue, model.item_factors, users, catalogue.cold, every),
        "warm": per_user(
            catalogue, model.item_factors, users, ~catalogue.cold, catalogue.matrix(c.TEST), catalogue.known
        ),
    }


def arm(catalogue: Catalogue, changes: dict[str, Any]) -> tuple[Values, dict[str, Any]]:
    """Tune, choose, look."""
    options = lm_options(catalogue, changes)
    adapter, details = (None, {}) if options.peft.peft_type == "FROZEN" else tuned(catalogue, options)
    vectors = embed(catalogue, adapter, options)
    settings = choose(catalogue, vectors)
    values = look_at_test(catalogue, vectors, settings)
    means = {name: round(float(np.nanmean(v)), 4) for name, v in values.items()}
    print(f"{catalogue.env} seed {catalogue.seed} {options.peft.peft_type:8s} {means} {settings} {details}", flush=True)
    return values, {"ndcg": means, "chosen": settings} | details


def shuffled(catalogue: Catalogue) -> Catalogue:
    """Return the catalogue with every item's text given to another item."""
    text = catalogue.data["item_text"]
    order = np.random.default_rng(catalogue.seed).permutation(len(text))
    mixed = text.assign(**{name: text[name].to_numpy()[order] for name in (c.TEXT, c.PIECES)})
    return replace(catalogue, data=catalogue.data | {"item_text": mixed})


def pooled(per_seed: list[Values], other: list[Values], which: str) -> dict[str, Any]:
    """Compare two arms over users; a user's values are averaged over the seeds first."""
    ours, theirs = (np.stack([v[which] for v in values]) for values in (per_seed, other))
    known = ~np.isnan(ours).all(axis=0)
    return asdict(paired_bootstrap(np.nanmean(ours[:, known], axis=0), np.nanmean(theirs[:, known], axis=0)))


def measure(env: str, seeds: tuple[int, ...]) -> dict[str, Any]:
    """Run all arms of one catalogue."""
    values: dict[str, list[Values]] = {name: [] for name in ARMS}
    rows: list[dict[str, Any]] = []
    extra: dict[str, Any] = {}
    for seed in seeds:
        catalogue = prepare(env, seed)
        for name, changes in ARMS.items():
            ndcg, row = arm(catalogue, changes)
            values[name].append(ndcg)
            rows.append({"arm": name, "seed": seed} | row)
        if env == "base" and seed == 0:
            control = {name: arm(shuffled(catalogue), ARMS[name])[0] for name in ("frozen", "lora")}
            extra["shuffled_texts"] = {
                which: {name: float(np.nanmean(v[which])) for name, v in control.items()}
                | asdict(paired_bootstrap(control["lora"][which], control["frozen"][which]))
                for which in ("cold", "cold_all")
            }
    pairs = (("lora", "frozen"), ("full", "frozen"), ("lora", "full"))
    compared = {
        f"{ours}_against_{theirs}": {which: pooled(values[ours], values[theirs], which) for which in values[ours][0]}
        for ours, theirs in pairs
    }
    return {"rows": rows, "compared": compared} | extra


def headline(results: dict[str, Any], speed: dict[str, Any]) -> dict[str, float]:
    """Pick the figures that have targets."""
    figures: dict[str, float] = {}
    for env, result in results.items():
        for which in ("cold", "cold_all"):
            lora = result["compared"]["lora_against_frozen"][which]
            figures[f"{env}_{which}_lora_over_frozen"] = lora["ratio"]
            figures[f"{env}_{which}_lora_over_frozen_low"] = lora["ratio_low"]
        figures[f"{env}_warm_lora_over_frozen"] = result["compared"]["lora_against_frozen"]["warm"]["ratio"]
        figures[f"{env}_cold_lora_minus_full_low"] = result["compared"]["lora_against_full"]["cold"]["low"]
    return rounded(figures | speed["headline"])


TARGETS = {
    "ml100k_cold_lora_over_frozen": ">= 1.10",
    "anime_cold_lora_over_frozen": ">= 1.15",
    "*_cold_lora_over_frozen_low": "> 1 (95 % paired bootstrap)",
    "*_warm_lora_over_frozen": ">= 0.99",
    "*_cold_lora_minus_full_low": ">= -0.005",
    "tuned_share": "<= 0.05",
    "encoding_over_sentence_transformers": ">= 2.5 where bf16 exists",
    "training_over_padded_trainer": ">= 2.5",
}


def main() -> None:
    """Run everything, or the catalogues named on the command line (written beside the whole result)."""
    logging.disable(logging.INFO)
    chosen = sys.argv[1:] or list(PLAN)
    speed = {"encoding": encoding(), "training": training()}
    speed["headline"] = {
        "encoding_over_sentence_transformers": speed["encoding"]["ratio"],
        "encoding_mean_cosine": speed["encoding"]["mean_cosine"],
        "training_over_padded_trainer": speed["training"]["over_max_length"],
        "training_over_dynamic_trainer": speed["training"]["over_longest"],
    }
    print(speed, flush=True)
    weights = parameters(lm_options(prepare("base", 0), {}))
    results: dict[str, Any] = {}
    for place, env in enumerate(chosen, start=1):
        results[NAMES[env]] = measure(env, PLAN[env])
        figures = headline(results, speed)
        lora = next(row for row in results[NAMES[env]]["rows"] if row["arm"] == "lora")
        figures["tuned_share"] = round(lora["tuned_parameters"] / weights, 4)
        done = chosen[:place]
        RESULT.with_name(f"lm_{'_'.join(NAMES[e] for e in done[:-1])}.json").unlink(missing_ok=True)
        # What is finished is kept, under the name of what it holds.
        path = RESULT if set(done) == set(PLAN) else RESULT.with_name(f"lm_{'_'.join(NAMES[e] for e in done)}.json")
        report = {"headline": figures, "targets": TARGETS, "results": results, "speed": speed}
        command = "make bench-lm" if path == RESULT else f"python benchmarks/lm.py {' '.join(done)}"
        write(path, report | about(command, sorted({seed for e in done for seed in PLAN[e]})))


if __name__ == "__main__":
    main()
