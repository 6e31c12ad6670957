"""`make bench-lm-ablation`: what each switch of the LM tuning does, one at a time, on MovieLens-100K or another.

Both pseudo-cold samples are 15 % of the warm items here, for less noise. An item of a sample gets the factor that
kernel ridge regression predicts from the texts of all trainable items, as cold items are served. A chooses the epoch,
and the kernel of :data:`KERNELS`; B is reported: NDCG@20 over B alone, positives are everybody's train and validation
rows on B. No test row is read. Seeds 0 to 2: each holds other items out.

Cells that are done stay in data/bench, by commit: an interrupted run goes on. The first word of the command line may be
an environment (anime, ml1m, beauty, toys), the others are switches: `make bench-lm-ablation ENV=anime`.
"""

import json
import logging
import sys
from dataclasses import asdict
from typing import Any

import numpy as np
from catalogues import RESULTS, ROOT, Catalogue, about, prepare, write
from cold_start import embed, fit, lm_options, per_user, tuned

from tailor import columns as c
from tailor.data.interactions import keep_items
from tailor.hybrid.cold_items import KernelImputer
from tailor.hybrid.config import ColdItemOptions
from tailor.metrics.significance import paired_bootstrap

STORE = ROOT / "data" / "bench"
ENVIRONMENTS = ("base", "ml1m", "anime", "beauty", "toys")
SHARE, SEEDS = 0.15, (0, 1, 2)
KERNELS = ({"width": 2.0, "ridge": 1.0}, {"width": 1.0, "ridge": 0.3})
FACTORS = {"alpha": 0.1, "regularization": 0.003, "lambda_item_feature": 10.0}
REFERENCE: dict[str, Any] = {
    "epochs": 5,
    "patience": 2,
    "ema": 0.95,
    "learning_rate": 1e-3,
    "masked_lm": {"epochs": 0},
}
SWITCHES: dict[str, dict[str, Any]] = {
    "frozen": {"peft": {"peft_type": "FROZEN"}, "epochs": 1},
    "reference: lora": {},
    "linear head alone": {"objective": {"kernel": {"weight": 0.0}}},
    "kernel weight 3": {"objective": {"kernel": {"weight": 3.0}}},
    "kernel weight 10": {"objective": {"kernel": {"weight": 10.0}}},
    "kernel width 1, ridge 0.3": {"objective": {"kernel": {"width": 1.0, "ridge": 0.3}}},
    "kernel of up to 6,000 items": {"objective": {"kernel": {"items": 6000}}},
    "solved every 64 items": {"objective": {"kernel": {"refresh": 64}}},
    "8 epochs": {"epochs": 8},
    "12 epochs": {"epochs": 12, "patience": 4},
    "no weight average": {"ema": 0.0},
    "learning rate 5e-4": {"learning_rate": 5e-4},
    "learning rate 2e-3": {"learning_rate": 2e-3},
    "attribute drop 0.2": {"augmentation": {"attribute_drop": 0.2}},
    "token mask 0.1": {"augmentation": {"token_mask": 0.1}},
    "adversarial 0.1 (FGM)": {"augmentation": {"adversarial": 0.1}},
    "popularity balance 0.5": {"augmentation": {"popularity_balance": 0.5}},
    "label smoothing 0.1": {"objective": {"label_smoothing": 0.1}},
    "adapter dropout 0.2": {"peft": {"lora_dropout": 0.2}},
    "weight decay 0.1": {"weight_decay": 0.1},
    "item weight power 1": {"objective": {"item_weight_power": 1.0}},
    "whitening (zca)": {"whitening": "zca"},
    "masked LM first, 1 epoch": {"masked_lm": {"epochs": 1}},
    "multitask: + contrastive": {"objective": {"name": "multitask", "contrastive_weight": 3.0, "category_weight": 0.0}},
    "multitask: + categories": {"objective": {"name": "multitask", "contrastive_weight": 0.0, "category_weight": 3.0}},
    "contrastive alone": {"objective": {"name": "contrastive"}},
    "rank 16": {"peft": {"r": 16, "lora_alpha": 32}},
    "dora": {"peft": {"use_dora": True}},
    "adalora": {"peft": {"peft_type": "ADALORA"}},
    "ia3": {"peft": {"peft_type": "IA3"}, "learning_rate": 5e-3},
    "prompt": {"peft": {"peft_type": "PROMPT_TUNING"}, "learning_rate": 5e-3},
    "prefix": {"peft": {"peft_type": "PREFIX_TUNING"}, "learning_rate": 5e-3},
    "full": {"peft": {"peft_type": "FULL"}, "learning_rate": 5e-5},
}


def run(catalogue: Catalogue, name: str) -> tuple[np.ndarray, dict[str, Any]]:
    """Tune, choose the kernel on A, return NDCG per user on B and what is worth telling."""
    options = lm_options(catalogue, REFERENCE | SWITCHES[name])
    adapter, details = tuned(catalogue, options)
    values, chosen = through_kernel(catalogue, embed(catalogue, adapter, options))
    return values, chosen | details


def through_kernel(catalogue: Catalogue, vectors: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
    """Choose the kernel on A; return NDCG per user on B (U,), both means and the kernel, by embeddings (n_items, m)."""
    trainable = catalogue.trainable
    model, users = fit(catalogue, vectors, trainable, FACTORS)
    counts = np.diff(keep_items(catalogue.matrix(c.TRAIN), trainable).tocsc().indptr).astype(np.int64)
    tried = []
    for kernel in KERNELS:
        imputer = KernelImputer.fit(ColdItemOptions(**kernel), vectors, counts)
        known = model.item_factors[imputer.landmarks]
        a, b = (on_sample(catalogue, imputer, known, users, sample) for sample in ("A", "B"))
        tried.append((float(np.nanmean(a)), kernel, b))
    best_a, kernel, values = max(tried, key=lambda trial: trial[0])
    return values, {"a_ndcg": best_a, "b_ndcg": float(np.nanmean(values)), "kernel": kernel}


def on_sample(
    catalogue: Catalogue, imputer: KernelImputer, known: np.ndarray, users: np.ndarray, sample: str
) -> np.ndarray:
    """Return NDCG@20 per user of lists over a pseudo-cold sample, by factors that texts predict."""
    cold = catalogue.pseudo_cold(sample)
    factors = np.zeros((len(cold), known.shape[1]), known.dtype)
    factors[cold] = imputer.predict(imputer.features[cold], known)
    return per_user(catalogue, factors, users, cold, catalogue.known)


def cell(catalogue: Catalogue, name: str) -> tuple[np.ndarray, dict[str, Any]]:
    """Return one switch under one seed, from disk where this commit made it."""
    key = "".join(letter if letter.isalnum() else "_" for letter in name)
    path = STORE / f"lm_ablation_{catalogue.env}_{catalogue.seed}_{key}_{about('', [])['commit'][:12]}.npz"
    if not path.is_file():
        values, details = run(catalogue, name)
        STORE.mkdir(parents=True, exist_ok=True)
        np.savez(path.with_suffix(".part.npz"), details=json.dumps(details), values=values)
        path.with_suffix(".part.npz").rename(path)
    with np.load(path, allow_pickle=False) as arrays:
        return arrays["values"], json.loads(str(arrays["details"]))


def row(of_seeds: list[dict[str, Any]], values: np.ndarray, reference: np.ndarray | None) -> dict[str, Any]:
    """Return the means over seeds, and the difference from the reference over the users of all seeds."""
    figures = {name: float(np.mean([d[name] for d in of_seeds])) for name in ("a_ndcg", "b_ndcg", "seconds")}
    told = {name: [d[name] for d in of_seeds] for name in ("epoch", "kernel", "pseudo_cold_a")}
    compared = {} if reference is None else {"minus_reference": asdict(paired_bootstrap(values, reference))}
    return figures | told | {"tuned_parameters": of_seeds[0]["tuned_parameters"]} | compared


def main() -> None:
    """Run every switch, or those named on the command line; rows of the others stay while the commit does."""
    logging.disable(logging.INFO)
    given = sys.argv[1:]
    env = given.pop(0) if given[:1] and given[0] in ENVIRONMENTS else "base"
    names = given or list(SWITCHES)
    if unknown := [name for name in names if name not in SWITCHES]:
        sys.exit(
            f"Unknown: {', '.join(unknown)}. Environments: {', '.join(ENVIRONMENTS)}; switches: {', '.join(SWITCHES)}"
        )
    result = RESULTS / ("lm_ablation.json" if env == "base" else f"lm_ablation-{env}.json")
    made = about(f"python benchmarks/lm_ablation.py {env}", list(SEEDS))
    catalogues = [prepare(env, seed, data_processing={"split": {"pseudo_cold": SHARE}}) for seed in SEEDS]
    reference: np.ndarray | None = None
    earlier = json.loads(result.read_text()) if result.is_file() else {}
    rows: dict[str, dict[str, Any]] = earlier["rows"] if earlier.get("commit") == made["commit"] else {}
    for name in ["reference: lora", *names]:
        cells = [cell(catalogue, name) for catalogue in catalogues]
        values = np.concatenate([of_seed for of_seed, _ in cells])
        reference = values if reference is None else reference
        rows[name] = row([details for _, details in cells], values, reference)
        print(f"{name:28s} B {rows[name]['b_ndcg']:.4f}  {rows[name]['minus_reference']}", flush=True)
        headline = {label: round(of_label["b_ndcg"], 4) for label, of_label in rows.items()}
        size = {"pseudo_cold": SHARE, "reference": REFERENCE}
        write(result, {"headline": headline, "targets": {}, "rows": rows, "size": size} | made)


if __name__ == "__main__":
    main()
