"""`make bench-protocols`: MovieLens-1M under two published protocols, full ranking, NDCG@10 and coverage@10.

random: 8:1:1 per user at random, ratings of 3 and more (published: LightGCN .2538, XSimGCL .2750). by_date: the last
20 % of all rows are test (published there: ALS .265 with coverage .133). Options are searched on validation as in
`make bench-quality`; what is judged is fitted on train + validation; one look at test. Users who come first in the test
window have no history, all that is known of them is their profile; they count. The hybrid is looked at along its boosts
for tail items and for coverage too, at the settings that cost so much of NDCG at most on validation.
"""

import itertools
import logging
import sys
from dataclasses import asdict
from typing import Any

import numpy as np
import quality
from catalogues import RESULTS, about, rounded, write

from tailor import columns as c
from tailor.hybrid.operating_point import select_operating_point
from tailor.metrics.significance import paired_bootstrap

K, SEED = 10, 0
LOSSES = (0.005, 0.02, 0.05, 0.1, 0.2)
RESULT = RESULTS / "protocols.json"
MODELS = ("popular", "ials", "ease", "hybrid_lora")
NOTHING_HELD_OUT = {"cold_items": 0.0, "new_users": 0.0}
PROTOCOLS: dict[str, dict[str, Any]] = {
    "random": {
        "cleaning": {"implicit_threshold": 3.0, "max_dropped_fraction": 0.5},
        "split": {"strategy": "random", "train": 0.8, "validation": 0.1} | NOTHING_HELD_OUT,
    },
    "by_date": {"split": {"strategy": "global_time", "train": 0.7, "validation": 0.1} | NOTHING_HELD_OUT},
}
TARGETS = {
    "random_hybrid_lora_ndcg": ">= 0.295",
    "by_date_hybrid_lora_ndcg": ">= 0.27 with coverage >= 0.25, at one of the losses",
}


def measure(protocol: str) -> dict[str, Any]:
    """Search, fit, look once."""
    trial = quality.make_trial("ml1m", SEED, data_processing=PROTOCOLS[protocol])
    chosen = quality.choose(trial, MODELS, protocol)
    models, on_validation = quality.fit_all(trial, chosen)
    measured = {name: quality.look(trial, model, K) for name, model in models.items()}
    values = {name: per_user[c.WARM] for name, (per_user, _) in measured.items()}
    table = {
        name: {"ndcg": float(np.nanmean(values[name])), "n_users": int(np.isfinite(values[name]).sum())} | exposure
        for name, (_, exposure) in measured.items()
    }
    hybrid, points = quality.ManyBoosts.of(trial, models["hybrid_lora"]), []
    for boost, loss in itertools.product(("tail_boost", "popularity_debias"), LOSSES):
        curve = [row for row in on_validation["hybrid_lora"]["curves"] if row["boost"] == boost]
        value = select_operating_point(curve, loss)
        per_user, exposure = quality.look(trial, hybrid.under(**{boost: value}), K)
        row = {"ndcg": float(np.nanmean(per_user[c.WARM]))} | exposure
        table[f"hybrid_lora_{boost}_at_{loss}"] = row
        points.append({"boost": boost, "max_loss": loss, "value": value} | row)
    print(protocol, table, points, flush=True)
    return {
        "table": table,
        "boosts": points,
        "hybrid_lora_against_ease": asdict(paired_bootstrap(values["hybrid_lora"], values["ease"], seed=SEED)),
        "chosen": chosen,
        "blend_models": on_validation["hybrid_lora"]["blend_models"],
    }


def main() -> None:
    """Run both, or those named on the command line (then nothing is written)."""
    logging.disable(logging.INFO)
    quality.open_store()
    results = {name: measure(name) for name in sys.argv[1:] or PROTOCOLS}
    if set(results) != set(PROTOCOLS):
        return
    headline = {
        f"{name}_{model}_{figure}": row[figure]
        for name, result in results.items()
        for model, row in result["table"].items()
        for figure in ("ndcg", "coverage")
    }
    report = {"headline": rounded(headline), "targets": TARGETS, "trials": quality.N_TRIALS, "results": results}
    write(RESULT, report | about("make bench-protocols", [SEED]))


if __name__ == "__main__":
    main()
