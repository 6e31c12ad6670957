"""`make bench-cf`: what the CF engine costs beside irspack called directly, how it grows, and what the hybrid adds.

The ratio is taken on MovieLens-1M's train rows with the frozen encoder's embeddings: fits alternate, one thread each,
and the NDCG of both is measured over the warm validation candidates. The growth is measured on fabricated rows, each
size in a process of its own, so that its peak memory is its own. What the hybrid adds is timed on the anime catalogue.
"""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from catalogues import ROOT, prepare
from cold_start import about, embed, lm_options
from scipy import sparse
from threadpoolctl import threadpool_limits

from tailor import columns as c
from tailor.config import parse
from tailor.data.interactions import binary
from tailor.hybrid.holdout import Holdout
from tailor.hybrid.operating_point import fit_gate
from tailor.hybrid.selection import fit_sources
from tailor.models.ials import IALS
from tailor.hybrid.config import HybridOptions
from tailor.models.ials import IALSConfig

DIMENSIONS, ROUNDS, K = (64, 128, 256), 3, 20
SIZES = (10_000, 100_000, 1_000_000, 10_000_000)
PLOT = ROOT / "docs" / "images" / "cf_growth.svg"


def holdout(env: str) -> tuple[Holdout, np.ndarray, dict[str, Any]]:
    """Return the validation side of a catalogue, the frozen embeddings, and the parameters."""
    d = prepare(env, 0)
    vectors = embed(d, None, lm_options(d, {"peft": {"peft_type": "FROZEN"}}))
    return (
        Holdout.build(d.matrix(c.TRAIN), d.matrix(c.VALIDATION), d.items, 0, d.matrix("order"), told=d.told),
        vectors,
        d.params,
    )


def by_irspack(h: Holdout, features: np.ndarray, o: IALSConfig) -> np.ndarray:
    """Call irspack as its documentation does; return the item factors."""
    from irspack import IALSRecommender  # noqa: PLC0415

    columns = np.flatnonzero(h.warm)
    engine = IALSRecommender(
        binary(sparse.csr_matrix(h.train[:, columns])),
        n_components=o.factors,
        alpha0=o.alpha,
        reg=o.regularization,
        nu=o.nu,
        train_epochs=o.iterations,
        n_threads=o.n_threads,
        random_seed=0,
        item_features=np.hstack([features, np.ones((len(features), 1), np.float32)])[columns],
        lambda_item_feature=o.lambda_item_feature,
    )
    factors: np.ndarray = engine.learn().get_item_embedding()
    return factors


def beside_irspack() -> dict[str, float]:
    """Return the ratio of fit times per dimension, and the ratio of NDCG."""
    h, features, _ = holdout("ml1m")
    told: dict[str, float] = {}
    for d in DIMENSIONS:
        o = IALSConfig(factors=d)
        ours, theirs = list[float](), list[float]()
        for _ in range(ROUNDS):
            started = time.perf_counter()
            mine = IALS(o).fit(h.train, h.warm, features)
            ours.append(time.perf_counter() - started)
            started = time.perf_counter()
            factors = by_irspack(h, features, o)
            theirs.append(time.perf_counter() - started)
        every = mine.item_factors.copy()
        every[h.warm] = factors
        gram = o.alpha * factors.astype(np.float64).T @ factors
        peer = IALS.from_state(mine.state() | {"item_factors": every, "gram": gram}, o)
        told |= {
            f"d{d}_seconds": min(ours),
            f"d{d}_irspack_seconds": min(theirs),
            f"d{d}_fit_time_over_irspack": min(ours) / min(theirs),
            f"d{d}_warm_ndcg": h.measure(mine, K)[c.WARM],
            f"d{d}_warm_ndcg_over_irspack": h.measure(mine, K)[c.WARM] / h.measure(peer, K)[c.WARM],
        }
        print({k: round(v, 4) for k, v in told.items() if k.startswith(f"d{d}_")}, flush=True)
    return told


def fabricated(n: int, seed: int = 0) -> sparse.csr_matrix:
    """Draw n interactions, popularity and activity falling like 1 / rank^0.8; 50 per user, 200 per item."""
    rng = np.random.default_rng(seed)
    n_users, n_items = max(500, n // 50), max(500, n // 200)
    meta_features = []
    for size in (n_users, n_items):
        share = 1 / np.arange(1, size + 1) ** 0.8
        meta_features.append(rng.choice(size, n, p=share / share.sum()))
    matrix = sparse.csr_matrix((np.ones(n, np.float32), meta_features), shape=(n_users, n_items))
    matrix.data[:] = 1.0
    return matrix


def peak_gib() -> float:
    """Return the most memory this process ever held (VmHWM; ru_maxrss would tell of the parent too)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 2**20


def one_size(n: int) -> dict[str, float]:
    """Fit on n fabricated interactions and report seconds and the peaks of this process, data alone and all."""
    matrix = fabricated(n)
    before = peak_gib()
    warm = np.asarray(matrix.sum(axis=0)).ravel() > 0
    started = time.perf_counter()
    IALS(IALSConfig()).fit(matrix, warm)
    seconds = time.perf_counter() - started
    return {"cells": float(matrix.nnz), "seconds": seconds, "peak_gib": peak_gib(), "data_peak_gib": before}


def growth() -> dict[str, float]:
    """Return seconds and peak memory per size; draw them."""
    told = {}
    for n in SIZES:
        done = subprocess.run([sys.executable, __file__, "--size", str(n)], capture_output=True, text=True, check=True)
        told |= {f"n{n}_{name}": value for name, value in json.loads(done.stdout.splitlines()[-1]).items()}
    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "tailor"
    import matplotlib.pyplot as plt  # noqa: PLC0415

    figure, axes = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained")
    cells = [told[f"n{n}_cells"] for n in SIZES]
    labels = {"seconds": "fit, seconds", "peak_gib": "peak of the process, GiB"}
    for axis, (name, label) in zip(axes, labels.items(), strict=True):
        axis.loglog(cells, [told[f"n{n}_{name}"] for n in SIZES], "o-")
        axis.set(xlabel="distinct interactions", ylabel=label)
        axis.grid(visible=True, which="both", alpha=0.3)
    PLOT.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(PLOT, metadata={"Date": None})
    return told


def what_the_hybrid_adds() -> dict[str, float]:
    """Time the arms and the gate on the anime catalogue."""
    h, features, params = holdout("anime")
    options = parse(HybridOptions, params["hybrid_cf"], "hybrid_cf")
    settings = options.trials["hybrid"][0]
    started = time.perf_counter()
    scorer = fit_sources(h, features, settings, options, 0)
    arms = time.perf_counter() - started
    started = time.perf_counter()
    fit_gate(scorer, h, options.mixture, options.k, 0)
    return {"anime_arms_seconds": arms, "anime_hybrid_training_seconds": time.perf_counter() - started}


TARGETS = {
    "d*_fit_time_over_irspack": "<= 1.1",
    "d*_warm_ndcg_over_irspack": "0.99 to 1.01",
    "anime_hybrid_training_seconds": "<= 60",
}


def main() -> None:
    """Measure on one core (the hybrid on all) and write; ``--size n`` measures one size and prints it."""
    if "--size" in sys.argv:
        print(json.dumps(one_size(int(sys.argv[-1]))))
        return
    with threadpool_limits(1):
        headline = beside_irspack() | growth()
    headline |= what_the_hybrid_adds()
    result = {"headline": {k: round(v, 4) for k, v in headline.items()}, "targets": TARGETS}
    path = ROOT / "benchmarks" / "results" / "cf.json"
    path.write_text(json.dumps(result | about("make bench-cf", [0]), indent=2) + "\n")
    print(json.dumps(result["headline"], indent=2))


if __name__ == "__main__":
    main()
