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

import mlflow
import numpy as np
import quality
from catalogues import ROOT
from cold_start import about, write

from tailor import columns as c
from tailor.hybrid.operating_point import select_operating_point
from tailor.metrics.significance import paired_bootstrap

K, SEED = 10, 0
PRICES = (0.005, 0.02, 0.05, 0.1, 0.2)
RESULT = ROOT / "benchmarks" / "results" / "protocols.json"
MODELS = ("popular", "irspack", "ease", "hybrid_lora")
NOBODY_HELD_OUT = {"cold_items": 0.0, "new_users": 0.0}
PROTOCOLS: dict[str, dict[str, Any]] = {
    "random": {
        "cleaning": {"implicit_threshold": 3.0, "max_dropped_fraction": 0.5},
        "split": {"strategy": "random", "train": 0.8, "validation": 0.1} | NOBODY_HELD_OUT,
    },
    "by_date": {"split": {"strategy": "global_time", "train": 0.7, "validation": 0.1} | NOBODY_HELD_OUT},
}
TARGETS = {
    "random_hybrid_lora_ndcg": ">= 0.295",
    "by_date_hybrid_lora_ndcg": ">= 0.27 with coverage >= 0.25, at one of the prices",
}


def measure(protocol: str) -> dict[str, Any]:
    """Search, fit, look once."""
    trial = quality.make_trial("ml1m", SEED, data_processing=PROTOCOLS[protocol])
    chosen = quality.choose(trial, MODELS, protocol)
    models, on_validation = quality.fit_all(trial, chosen)
    found = {name: quality.look(trial, engine, K) for name, engine in models.items()}
    values = {name: per_user[c.WARM] for name, (per_user, _) in found.items()}
    table = {
        name: {"ndcg": float(np.nanmean(values[name])), "n_users": int(np.isfinite(values[name]).sum())} | shown
        for name, (_, shown) in found.items()
    }
    kept, curve = quality.Turned(trial, models["hybrid_lora"]), []
    for boost, price in itertools.product(("tail_boost", "popularity_debias"), PRICES):
        on_the_dial = [row for row in on_validation["hybrid_lora"]["prices"] if row["boost"] == boost]
        value = select_operating_point(on_the_dial, price)
        per_user, shown = quality.look(trial, kept.at(**{boost: value}), K)
        row = {"ndcg": float(np.nanmean(per_user[c.WARM]))} | shown
        table[f"hybrid_lora_{boost}_at_{price}"] = row
        curve.append({"boost": boost, "price": price, "value": value} | row)
    print(protocol, table, curve, flush=True)
    against = asdict(paired_bootstrap(values["hybrid_lora"], values["ease"], seed=SEED))
    fusions = on_validation["hybrid_lora"]["fusions"]
    return {
        "table": table,
        "boosts": curve,
        "hybrid_lora_against_ease": against,
        "chosen": chosen,
        "fusions": fusions,
    }


def main() -> None:
    """Run both, or those named on the command line (then nothing is written)."""
    logging.disable(logging.INFO)
    (ROOT / "data" / "bench").mkdir(parents=True, exist_ok=True)
    mlflow.set_tracking_uri(f"sqlite:///{ROOT / 'data' / 'bench' / 'mlflow.db'}")
    results = {name: measure(name) for name in sys.argv[1:] or PROTOCOLS}
    if set(results) != set(PROTOCOLS):
        return
    headline = {
        f"{name}_{model}_{figure}": round(row[figure], 4)
        for name, result in results.items()
        for model, row in result["table"].items()
        for figure in ("ndcg", "coverage")
    }
    report = {"headline": headline, "targets": TARGETS, "trials": quality.N_TRIALS, "results": results}
    write(RESULT, report | about("make bench-protocols", [SEED]))


if __name__ == "__main__":
    main()
