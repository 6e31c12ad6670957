"""`make bench-decoder`: a decoder as base model, SmolLM2-135M (conf/decoder), beside MiniLM, on MovieLens-100K.

Its weights are those that Q4_1 (4 bits) has left of it, dequantised. Each arm gives the catalogue embeddings: the
frozen model, or LoRA as its environment configures it. They are judged twice, on one split per seed with pseudo-cold
samples of 15 % of the warm items: through the kernel that serves cold items, as in lm_ablation.py (A chooses, NDCG@20
on B), and in the whole hybrid of the first option set (blend and boosts from validation, one look at test). Each arm
runs in a process of its own, whose peak memory is read. Intervals are over users.

    python benchmarks/decoder.py [SEED ...]

Cells that are done stay in data/bench, by commit: an interrupted run goes on.
"""

import json
import logging
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from catalogues import RESULTS, ROOT, Values, about, known_user_ndcg, peak_mib, prepare, rounded, seconds_of, write
from cold_start import embed, lm_options, parameters, tuned
from lm_ablation import SHARE, through_kernel

from tailor import columns as c
from tailor.metrics.significance import paired_bootstrap

RESULT, STORE = RESULTS / "decoder.json", ROOT / "data" / "bench"
K, KERNEL = 20, "kernel"
FROZEN = {"peft": {"peft_type": "FROZEN"}}
#: Environment and changes of its options.
ARMS: dict[str, tuple[str, dict[str, Any]]] = {
    "minilm_frozen": ("base", FROZEN),
    "minilm_lora": ("base", {}),
    "smollm2_frozen": ("decoder", FROZEN),
    "smollm2_frozen_zca": ("decoder", FROZEN | {"whitening": "zca"}),
    "smollm2_frozen_mean": ("decoder", FROZEN | {"encoder": {"pooling": "mean"}}),
    "smollm2_lora": ("decoder", {}),
}
PAIRS = (("smollm2_lora", "smollm2_frozen"), ("smollm2_lora", "minilm_lora"), ("smollm2_frozen", "minilm_frozen"))


def run(arm: str, seed: int) -> tuple[Values, dict[str, Any]]:
    """Tune, encode, judge; return values per user and what is worth telling."""
    env, changes = ARMS[arm]
    catalogue = prepare(env, seed, data_processing={"split": {"pseudo_cold": SHARE}})
    options = lm_options(catalogue, changes)
    adapter, details = (None, {}) if options.peft.peft_type == "FROZEN" else tuned(catalogue, options)
    encode_s, vectors = seconds_of(lambda: embed(catalogue, adapter, options))
    details |= {"parameters": parameters(options), "load_and_encode_s": round(encode_s, 1)}
    details |= {"peak_mib": round(peak_mib())}  # before the hybrid, whose memory is another matter
    values, chosen = through_kernel(catalogue, vectors)
    known = known_user_ndcg(catalogue, catalogue.blended(vectors), catalogue.test_rules, K)
    return {KERNEL: values} | known, details | {"kernel": chosen["kernel"]}


def stored(arm: str, seed: int) -> Path:
    """Return where an arm under one seed lies, as this commit makes it."""
    return STORE / f"decoder_{seed}_{arm}_{about('', [])['commit'][:12]}.npz"


def make(arm: str, seed: int) -> None:
    """Run one arm, and write it aside and rename."""
    logging.disable(logging.INFO)
    values, details = run(arm, seed)
    part = stored(arm, seed).with_suffix(".part.npz")
    part.parent.mkdir(parents=True, exist_ok=True)
    np.savez(part, details=json.dumps(details), **values)  # type: ignore[arg-type]
    part.rename(stored(arm, seed))


def cell(arm: str, seed: int) -> tuple[Values, dict[str, Any]]:
    """Return one arm under one seed, from disk where this commit made it, else from a process of its own."""
    if not stored(arm, seed).is_file():
        subprocess.run([sys.executable, __file__, arm, str(seed)], check=True)
    with np.load(stored(arm, seed), allow_pickle=False) as arrays:
        values = {name: arrays[name] for name in arrays.files if name != "details"}
        details = json.loads(str(arrays["details"]))
    means = rounded({name: float(np.nanmean(of_users)) for name, of_users in values.items()})
    print(f"seed {seed} {arm:20s} {means} {details}", flush=True)
    return values, details | {"arm": arm, "seed": seed, "ndcg": means}


def compared(cells: dict[str, list[tuple[Values, dict[str, Any]]]]) -> dict[str, Any]:
    """Compare pairs of arms over the users of all seeds: difference and ratio, with intervals."""
    return {
        f"{ours}_to_{theirs}": {
            which: rounded(
                asdict(paired_bootstrap(*(np.concatenate([v[which] for v, _ in cells[arm]]) for arm in (ours, theirs))))
            )
            for which in (KERNEL, c.COLD, c.WARM, c.TAIL)
        }
        for ours, theirs in PAIRS
    }


def main(seeds: list[int]) -> None:
    """Run every arm under the seeds, and write the result."""
    made = about(f"make bench-decoder SEEDS={' '.join(map(str, seeds))!r}", seeds)
    cells = {arm: [cell(arm, seed) for seed in seeds] for arm in ARMS}
    headline = {
        f"{arm}_{which}": float(np.nanmean(np.concatenate([values[which] for values, _ in of_arm])))
        for arm, of_arm in cells.items()
        for which in (KERNEL, c.COLD, c.WARM, c.TAIL)
    }
    rows = {arm: [details for _, details in of_arm] for arm, of_arm in cells.items()}
    size = {"k": K, "pseudo_cold": SHARE, "option_sets": 1}
    report = {"headline": rounded(headline), "targets": {}, "compared": compared(cells), "rows": rows, "size": size}
    write(RESULT, report | made)
    print(json.dumps(report["headline"], indent=2))


if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1] in ARMS:
        make(sys.argv[1], int(sys.argv[2]))
    else:
        main([int(seed) for seed in sys.argv[1:]] or [0])
