"""`make bench-lm-ablation`: what each switch of the LM tuning does, on MovieLens-100K, one at a time.

Both pseudo-cold samples are 15 % of the warm items here, for less noise. A chooses the epoch and the ridge ρ of W; B is
reported: NDCG@20 over B alone, positives are everybody's train and validation rows on B. No test row is read.
"""

import logging
import sys
from dataclasses import asdict
from typing import Any

import numpy as np
from catalogues import RESULTS, about, prepare, write
from cold_start import embed, fit, lm_options, per_user, tuned

from tailor.metrics.significance import paired_bootstrap

RESULT = RESULTS / "lm_ablation.json"
SHARE, SEED, RIDGES = 0.15, 0, (3.0, 10.0, 30.0, 100.0)
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


def main() -> None:
    """Run every switch, or those named on the command line."""
    logging.disable(logging.INFO)
    catalogue = prepare("base", SEED, data_processing={"split": {"pseudo_cold": SHARE}})
    truth = catalogue.known
    values: dict[str, np.ndarray] = {}
    rows: dict[str, dict[str, Any]] = {}
    for name in sys.argv[1:] or SWITCHES:
        options = lm_options(catalogue, REFERENCE | SWITCHES[name])
        adapter, details = tuned(catalogue, options)
        vectors = embed(catalogue, adapter, options)
        tried = []
        for ridge in RIDGES:
            settings = {"alpha": 0.1, "regularization": 0.01, "lambda_item_feature": ridge}
            model, users = fit(catalogue, vectors, catalogue.trainable, settings)
            a, b = (per_user(catalogue, model.item_factors, users, catalogue.pseudo_cold(s), truth) for s in ("A", "B"))
            tried.append((float(np.nanmean(a)), ridge, b))
        best_a, ridge, values[name] = max(tried, key=lambda trial: trial[0])
        rows[name] = {"b_ndcg": float(np.nanmean(values[name])), "a_ndcg": best_a, "ridge": ridge} | details
        print(f"{name:28s} B {rows[name]['b_ndcg']:.4f}  A {best_a:.4f}  {details}", flush=True)
    for name, row in rows.items():
        if "reference: lora" in values:
            row["minus_reference"] = asdict(paired_bootstrap(values[name], values["reference: lora"]))
    headline = {name: round(row["b_ndcg"], 4) for name, row in rows.items()}
    size = {"pseudo_cold": SHARE, "reference": REFERENCE}
    write(
        RESULT,
        {"headline": headline, "targets": {}, "rows": rows, "size": size} | about("make bench-lm-ablation", [SEED]),
    )


if __name__ == "__main__":
    main()
