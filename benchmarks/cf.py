"""`make bench-cf`: what text-prior iALS costs beside irspack called directly, how it grows, and what the hybrid adds.

The ratio is taken on MovieLens-1M's train rows with the frozen encoder's embeddings: fits alternate, one thread each,
and the NDCG of both is measured over the warm validation candidates. The growth is measured on fabricated rows, each
size in a process of its own, so that its peak memory is its own. What the hybrid adds is timed on the anime catalogue.
"""

import json
import subprocess
import sys
from functools import partial

import matplotlib as mpl
import numpy as np
from catalogues import RESULTS, ROOT, about, peak_mib, prepare, rounded, seconds_of, write
from cold_start import embed_frozen
from scipy import sparse
from threadpoolctl import threadpool_limits

from tailor import columns as c
from tailor.hybrid.model import Hybrid
from tailor.hybrid.operating_point import fit_blend
from tailor.models.base import TrainSet
from tailor.models.ials import FittedIALS, IALSConfig, TextIALS

DIMENSIONS, ROUNDS, K = (64, 128, 256), 3, 20
SIZES = (10_000, 100_000, 1_000_000, 10_000_000)
PLOT = ROOT / "docs" / "images" / "cf_growth.svg"


def by_irspack(data: TrainSet, config: IALSConfig) -> np.ndarray:
    """Call irspack as its documentation does; return the factors of the warm items."""
    from irspack import IALSRecommender  # noqa: PLC0415

    columns, features = np.flatnonzero(data.warm), data.item_features
    peer = IALSRecommender(
        sparse.csr_matrix(data.interactions[:, columns]),
        n_components=config.factors,
        alpha0=config.alpha,
        reg=config.regularization,
        nu=config.nu,
        train_epochs=config.iterations,
        n_threads=config.n_threads,
        random_seed=0,
        item_features=np.hstack([features, np.ones((len(features), 1), np.float32)])[columns],
        lambda_item_feature=config.lambda_item_feature,
    )
    factors: np.ndarray = peer.learn().get_item_embedding()
    return factors


def beside_irspack() -> dict[str, float]:
    """Return the ratio of fit times per dimension, and the ratio of NDCG."""
    catalogue = prepare("ml1m", 0)
    holdout = catalogue.holdout()
    data, figures = holdout.train_set(embed_frozen(catalogue)), dict[str, float]()
    for d in DIMENSIONS:
        recipe = TextIALS(IALSConfig(factors=d))
        ours, theirs = list[float](), list[float]()
        for _ in range(ROUNDS):
            seconds, mine = seconds_of(partial(recipe.fit, data))
            ours.append(seconds)
            seconds, factors = seconds_of(partial(by_irspack, data, recipe.config))
            theirs.append(seconds)
        every = mine.item_factors.copy()
        every[data.warm] = factors
        peer = FittedIALS.of_factors(recipe, every, mine.feature_weights, data.warm)
        warm_ndcg, of_peer = (holdout.measure(model, K)[c.WARM] for model in (mine, peer))
        figures |= {
            f"d{d}_seconds": min(ours),
            f"d{d}_irspack_seconds": min(theirs),
            f"d{d}_fit_time_over_irspack": min(ours) / min(theirs),
            f"d{d}_warm_ndcg": warm_ndcg,
            f"d{d}_warm_ndcg_over_irspack": warm_ndcg / of_peer,
        }
        print(rounded({k: v for k, v in figures.items() if k.startswith(f"d{d}_")}), flush=True)
    return figures


def fabricated(n: int, seed: int = 0) -> sparse.csr_matrix:
    """Draw n interactions, popularity and activity falling like 1 / rank^0.8; 50 per user, 200 per item."""
    rng = np.random.default_rng(seed)
    n_users, n_items = max(500, n // 50), max(500, n // 200)
    indices = []
    for size in (n_users, n_items):
        share = 1 / np.arange(1, size + 1) ** 0.8
        indices.append(rng.choice(size, n, p=share / share.sum()))
    matrix = sparse.csr_matrix((np.ones(n, np.float32), indices), shape=(n_users, n_items))
    matrix.data[:] = 1.0
    return matrix


def one_size(n: int) -> dict[str, float]:
    """Fit on n fabricated interactions and report seconds and the peaks of this process, data alone and all."""
    matrix = fabricated(n)
    before = peak_mib() / 2**10
    data = TrainSet.of(matrix, np.asarray(matrix.sum(axis=0)).ravel() > 0)
    seconds, _ = seconds_of(lambda: TextIALS(IALSConfig()).fit(data))
    return {"cells": float(matrix.nnz), "seconds": seconds, "peak_gib": peak_mib() / 2**10, "data_peak_gib": before}


def growth() -> dict[str, float]:
    """Return seconds and peak memory per size; draw them."""
    figures = {}
    for n in SIZES:
        done = subprocess.run([sys.executable, __file__, "--size", str(n)], capture_output=True, text=True, check=True)
        figures |= {f"n{n}_{name}": value for name, value in json.loads(done.stdout.splitlines()[-1]).items()}
    draw(figures)
    return figures


def draw(figures: dict[str, float]) -> None:
    """Draw seconds and peak memory against the number of interactions."""
    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "tailor"
    import matplotlib.pyplot as plt  # noqa: PLC0415

    figure, axes = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained")
    cells = [figures[f"n{n}_cells"] for n in SIZES]
    labels = {"seconds": "fit, seconds", "peak_gib": "peak of the process, GiB"}
    for axis, (name, label) in zip(axes, labels.items(), strict=True):
        axis.loglog(cells, [figures[f"n{n}_{name}"] for n in SIZES], "o-")
        axis.set(xlabel="distinct interactions", ylabel=label)
        axis.grid(visible=True, which="both", alpha=0.3)
    PLOT.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(PLOT, metadata={"Date": None})


def what_the_hybrid_adds() -> dict[str, float]:
    """Time the sources and the blend on the anime catalogue."""
    catalogue = prepare("anime", 0)
    holdout, options = catalogue.holdout(), catalogue.hybrid_options
    data = holdout.train_set(embed_frozen(catalogue))
    recipe = Hybrid(options.hybrid_config(options.trials["hybrid"][0]), 0)
    sources, scorer = seconds_of(lambda: recipe.fit(data))
    fitted, _ = seconds_of(lambda: fit_blend(scorer, holdout, options.blend, options.k, 0))
    return {"anime_sources_seconds": sources, "anime_hybrid_training_seconds": fitted}


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
    result = {"headline": rounded(headline), "targets": TARGETS}
    write(RESULTS / "cf.json", result | about("make bench-cf", [0]))
    print(json.dumps(result["headline"], indent=2))


if __name__ == "__main__":
    main()
