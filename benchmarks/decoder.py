"""`make bench-decoder`: a decoder as base model, SmolLM2-135M (conf/decoder), beside MiniLM, on MovieLens-100K.

Its weights are those that Q4_1 (4 bits) has left of it, dequantised. Each arm gives the catalogue embeddings: the
frozen model, or LoRA as its environment configures it. They are judged on one split per seed with pseudo-cold samples
of 15 % of the warm items: through the kernel that serves cold items, as in lm_ablation.py (A chooses, NDCG@20 on B),
and, with ``hybrid``, in the whole hybrid of the first option set (blend and boosts from validation, one look at test).
Each arm runs in a process of its own, whose peak memory is read. Intervals are over users.

    python benchmarks/decoder.py [SEED ...] [ARM ...] [hybrid]

Cells that are done stay in data/bench, by commit: an interrupted run goes on, and arms that are not named stay out.
"""

import json
import logging
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from catalogues import (
    RESULTS,
    ROOT,
    Catalogue,
    Values,
    about,
    known_user_ndcg,
    peak_mib,
    prepare,
    rounded,
    seconds_of,
    write,
)
from cold_start import Vectors, lm_options, tuned
from lm_ablation import SHARE, through_kernel

from tailor import columns as c
from tailor.lm.config import LMOptions
from tailor.lm.embeddings import embed_catalogue
from tailor.lm.encoder import load_base, tokenise
from tailor.lm.peft import Adapter, attach
from tailor.metrics.significance import paired_bootstrap

RESULT, STORE = RESULTS / "decoder.json", ROOT / "data" / "bench"
K, KERNEL, HYBRID, CELL = 20, "kernel", "hybrid", "cell"
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
PAIRS = (
    ("smollm2_lora", "smollm2_frozen"),
    ("minilm_lora", "minilm_frozen"),
    ("smollm2_lora", "minilm_lora"),
    ("smollm2_frozen", "minilm_frozen"),
    ("smollm2_frozen_zca", "smollm2_frozen"),
    ("smollm2_frozen_mean", "smollm2_frozen"),
)
#: Arms of the whole hybrid.
WHOLE = tuple(arm for pair in PAIRS[:2] for arm in pair)


def catalogue_of(arm: str, seed: int) -> Catalogue:
    """Prepare the arm's catalogue; the environments differ in their base model alone."""
    return prepare(ARMS[arm][0], seed, data_processing={"split": {"pseudo_cold": SHARE}})


def encoded(catalogue: Catalogue, adapter: Adapter | None, options: LMOptions) -> tuple[Vectors, dict[str, Any]]:
    """Return the catalogue's embeddings (n_items, m), and what loading and encoding cost."""
    load_s, encoder = seconds_of(lambda: load_base(options.encoder))
    size = sum(weights.numel() for weights in encoder.parameters())
    if adapter is not None:
        encoder = attach(encoder, adapter, options.encoder)
    tokens = tokenise(catalogue.data["item_text"][c.TEXT].tolist(), options.encoder)
    trainable = catalogue.trainable
    encode_s, embeddings = seconds_of(
        lambda: embed_catalogue(encoder, tokens, catalogue.items, trainable, options, {}, "encode")
    )
    cost = {"load_s": round(load_s, 1), "encode_s": round(encode_s, 1), "peak_mib": round(peak_mib())}
    about_texts = {"mean_tokens": round(float(tokens.lengths().mean()), 1), "truncated_texts": tokens.n_truncated}
    return embeddings.vectors, {"parameters": size} | cost | about_texts


def by_kernel(arm: str, seed: int) -> tuple[Values, dict[str, Any]]:
    """Tune, encode, judge through the kernel; return values per user and the embeddings, and what is worth telling."""
    catalogue = catalogue_of(arm, seed)
    options = lm_options(catalogue, ARMS[arm][1])
    adapter, details = (None, {}) if options.peft.peft_type == "FROZEN" else tuned(catalogue, options)
    vectors, cost = encoded(catalogue, adapter, options)
    values, chosen = through_kernel(catalogue, vectors)
    return {KERNEL: values, "vectors": vectors}, details | cost | {"kernel": chosen["kernel"]}


def by_hybrid(arm: str, seed: int) -> tuple[Values, dict[str, Any]]:
    """Judge an arm's embeddings in the whole hybrid; return values per user."""
    catalogue = catalogue_of(arm, seed)
    with np.load(stored(arm, seed), allow_pickle=False) as arrays:
        scorer = catalogue.blended(arrays["vectors"])
    return known_user_ndcg(catalogue, scorer, catalogue.test_rules, K), {}


def stored(arm: str, seed: int, part: str = "") -> Path:
    """Return where an arm under one seed lies, as this commit makes it."""
    return STORE / f"decoder{part and f'_{part}'}_{seed}_{arm}_{about('', [])['commit'][:12]}.npz"


def make(arm: str, seed: int, part: str = "") -> None:
    """Run one arm, and write it aside and rename."""
    logging.disable(logging.INFO)
    values, details = by_hybrid(arm, seed) if part == HYBRID else by_kernel(arm, seed)
    target = stored(arm, seed, part)
    aside = target.with_suffix(".part.npz")
    aside.parent.mkdir(parents=True, exist_ok=True)
    np.savez(aside, details=json.dumps(details), **values)  # type: ignore[arg-type]
    aside.rename(target)


def cell(arm: str, seed: int, part: str = "") -> tuple[Values, dict[str, Any]]:
    """Return one arm under one seed, from disk where this commit made it, else from a process of its own."""
    if not stored(arm, seed, part).is_file():
        subprocess.run([sys.executable, __file__, CELL, arm, str(seed), part], check=True)
    with np.load(stored(arm, seed, part), allow_pickle=False) as arrays:
        values = {name: arrays[name] for name in arrays.files if name not in ("details", "vectors")}
        details = json.loads(str(arrays["details"]))
    means = rounded({name: float(np.nanmean(of_users)) for name, of_users in values.items()})
    print(f"seed {seed} {arm:20s} {means} {details}", flush=True)
    return values, details | {"arm": arm, "seed": seed, "ndcg": means}


def compared(arms: dict[str, Values]) -> dict[str, Any]:
    """Compare the pairs of arms that there are, over the users of all seeds: difference and ratio, with intervals."""
    return {
        f"{ours}_to_{theirs}": {
            which: rounded(asdict(paired_bootstrap(values, arms[theirs][which])))
            for which, values in arms[ours].items()
            if which in arms[theirs]
        }
        for ours, theirs in PAIRS
        if arms.get(ours) and arms.get(theirs)
    }


def report(seeds: list[int], names: list[str], with_hybrid: bool) -> dict[str, Any]:
    """Run the arms ``names`` under the seeds; return what is written."""
    parts = [(arm, "") for arm in names] + [(arm, HYBRID) for arm in WHOLE if with_hybrid and arm in names]
    arms: dict[str, Values] = {arm: {} for arm in names}
    rows: dict[str, list[dict[str, Any]]] = {}
    for arm, part in parts:
        cells = [cell(arm, seed, part) for seed in seeds]
        arms[arm] |= {which: np.concatenate([values[which] for values, _ in cells]) for which in cells[0][0]}
        rows[f"{arm}{part and f'_{part}'}"] = [details for _, details in cells]
    headline = {f"{arm}_{which}": float(np.nanmean(v)) for arm, values in arms.items() for which, v in values.items()}
    size = {"k": K, "pseudo_cold": SHARE, "option_sets": 1}
    return {"headline": rounded(headline), "targets": {}, "compared": compared(arms), "rows": rows, "size": size}


def main(arguments: list[str]) -> None:
    """Run what is asked for, or every arm through the kernel under seed 0, and write the result."""
    seeds = [int(word) for word in arguments if word.isdigit()] or [0]
    names = [arm for arm in ARMS if arm in arguments] or list(ARMS)
    command = f"python benchmarks/decoder.py {' '.join(arguments)}" if arguments else "make bench-decoder"
    made = about(command, seeds)
    result = report(seeds, names, HYBRID in arguments)
    write(RESULT, result | made)
    print(json.dumps(result["headline"], indent=2))


if __name__ == "__main__":
    if sys.argv[1:2] == [CELL]:
        make(sys.argv[2], int(sys.argv[3]), sys.argv[4])
    else:
        main(sys.argv[1:])
