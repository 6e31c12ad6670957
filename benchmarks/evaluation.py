"""`make bench-eval`: metrics and re-ranking against time, memory and RecTools, on fabricated lists.

RecTools needs numpy < 2, so it runs in an interpreter of its own (.venv-peers), on the same tables, one after another.
"""

import json
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
from catalogues import RESULTS, ROOT, about, peak_mib, write
from scipy import sparse

from tailor.data.item_metadata import ItemMetadata
from tailor.evaluation.measure import popularity_metadata
from tailor.evaluation.ranking import to_lists
from tailor.metrics import Lists, find_metric
from tailor.rerank import RerankOptions, rerank

RESULT = RESULTS / "eval.json"
PEER = ROOT / ".venv-peers" / "bin" / "python"
SEED, N_USERS, N_ITEMS, K = 0, 5_000, 7_390, 20
MANY = (200_000, 50_000)


def draw(rng: np.random.Generator, n_users: int, n_items: int, each: int) -> np.ndarray:
    """Return ``each`` distinct items per user (U, each), popular ones more often."""
    popularity = np.log(1 / np.arange(1, n_items + 1) ** 0.8)
    blocks = []
    for start in range(0, n_users, 500):
        noise = rng.gumbel(size=(min(500, n_users - start), n_items)).astype(np.float32) + popularity
        blocks.append(np.argpartition(-noise, each, axis=1)[:, :each])
    return np.vstack(blocks)


def long(table: np.ndarray, names: tuple[str, str] = ("user_id", "item_id")) -> pd.DataFrame:
    """Return (U, n) as rows of user and item."""
    users = np.repeat(np.arange(len(table)), table.shape[1])
    return pd.DataFrame({names[0]: users, names[1]: table.ravel()})


def matrix(table: np.ndarray, n_items: int) -> sparse.csr_matrix:
    """Return (U, n) item ids as a 0/1 matrix."""
    rows = np.repeat(np.arange(len(table)), table.shape[1])
    return sparse.csr_matrix((np.ones(table.size, np.float32), (rows, table.ravel())), shape=(len(table), n_items))


def ours(lists: pd.DataFrame, positives: sparse.csr_matrix, n_train: np.ndarray) -> dict[str, float]:
    """Compute the seven figures from the long table of lists, as RecTools does."""
    n_users, n_items = positives.shape
    ids = pd.Series(np.arange(n_users)), pd.Series(np.arange(n_items))
    _, top = to_lists(lists, *ids, K)
    return figures(top, positives, n_train, n_users)


def figures(top: np.ndarray, positives: sparse.csr_matrix, n_train: np.ndarray, n_users: int) -> dict[str, float]:
    """Compute the seven figures from lists (U, k)."""
    lists = Lists.build(top, described(n_train, n_train < 5), positives=positives, n_train_users=n_users)
    names = {name: name for name in ("ndcg", "recall", "map", "mrr", "novelty", "arp")} | {
        "coverage": "catalog_coverage"
    }
    return {title: float(np.nanmean(find_metric(name).values(lists))) for title, name in names.items()}


def described(n_train: np.ndarray, tail: np.ndarray) -> ItemMetadata:
    """Return items that are known by their popularity alone."""
    bucket = np.where(tail, "tail", "head")
    return popularity_metadata(pd.DataFrame({"item_id": np.arange(len(n_train)), "n_train": n_train, "bucket": bucket}))


def timed(work: Callable[[], Any], repeats: int = 3) -> tuple[float, Any]:
    """Return the median seconds after a warm-up, and the result."""
    result, seconds = work(), []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return median(seconds), result


def against_rectools() -> dict[str, Any]:
    """Measure the same lists with both."""
    rng = np.random.default_rng(SEED)
    tables = {name: draw(rng, N_USERS, N_ITEMS, each) for name, each in (("train", 50), ("test", 20), ("top", K))}
    n_train = np.bincount(tables["train"].ravel(), minlength=N_ITEMS)
    lists = long(tables["top"]).assign(rank=np.tile(np.arange(1, K + 1), N_USERS))
    positives = matrix(tables["test"], N_ITEMS)
    seconds, values = timed(lambda: ours(lists, positives, n_train))
    tracemalloc.start()
    ours(lists, positives, n_train)
    memory = tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.stop()
    with tempfile.TemporaryDirectory() as folder:
        lists.to_csv(Path(folder) / "lists.csv", index=False)
        for name in ("train", "test"):
            rows = long(tables[name]).assign(weight=1.0, datetime="2026-01-01")
            rows.to_csv(Path(folder) / f"{name}.csv", index=False)
        script = ROOT / "benchmarks" / "peers" / "rectools_metrics.py"
        subprocess.run([str(PEER), str(script), folder, str(K), str(N_ITEMS)], check=True)
        peer = json.loads((Path(folder) / "peer.json").read_text())
    theirs = median(peer["seconds"])
    difference = {name: abs(values[name] - peer["values"][name]) for name in values}
    return {
        "seconds": seconds,
        "rectools_seconds": theirs,
        "ratio": seconds / theirs,
        "memory_over_inputs_mib": memory,
        "values": values,
        "rectools_values": peer["values"],
        "difference": difference,
    }


def at_scale() -> dict[str, Any]:
    """Measure 200,000 lists over 50,000 items in a process of its own; return seconds and its peak memory."""
    done = subprocess.run([sys.executable, __file__, "scale"], capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def scale() -> None:
    """Fabricate and measure the large case; print what it took."""
    rng, (n_users, n_items) = np.random.default_rng(SEED), MANY
    top = np.minimum((rng.pareto(0.8, (n_users, K)) * 20).astype(np.int64), n_items - 1)
    relevant = np.minimum((rng.pareto(0.8, (n_users, 15)) * 20).astype(np.int64), n_items - 1)
    positives = matrix(relevant, n_items)
    positives.sum_duplicates()
    started = time.perf_counter()
    figures(top, positives, np.bincount(relevant.ravel(), minlength=n_items), n_users)
    print(json.dumps({"seconds": time.perf_counter() - started, "peak_mib": peak_mib()}))


def reranking() -> dict[str, float]:
    """Choose 20 of 200 candidates for 5,000 users, by every method."""
    rng = np.random.default_rng(SEED)
    vectors = rng.normal(size=(N_ITEMS, 384)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    member = rng.random((N_ITEMS, 40)) < 0.07
    bare = described(np.ones(N_ITEMS, np.int64), rng.random(N_ITEMS) < 0.8).with_arrays(vectors=vectors)
    names = [json.dumps([f"c{i}" for i in np.flatnonzero(row)]) for row in member]
    metadata = replace(bare, table=bare.table.assign(categories=names))
    pool = draw(rng, N_USERS, N_ITEMS, 200)
    scores = -np.sort(-rng.normal(size=pool.shape).astype(np.float32), axis=1)
    history = matrix(draw(rng, N_USERS, N_ITEMS, 50), N_ITEMS)
    seconds = {}
    for method in ("mmr", "dpp", "calibrated", "tail", "caps"):
        options = RerankOptions(method=method, strength=0.3)
        started = time.perf_counter()
        rerank(pool, scores, history, metadata, options, K)
        seconds[method] = time.perf_counter() - started
    return seconds


TARGETS = {
    "metrics_over_rectools": "<= 1.0",
    "memory_over_inputs_mib": "<= 500",
    "scale_peak_mib": "<= 4096 (200,000 users x 50,000 items)",
    "mmr_seconds": "<= 10",
    "dpp_seconds": "<= 10",
    "largest_difference": "<= 1e-9 (NDCG, recall, MAP, MRR, coverage, ARP; novelty is defined otherwise)",
}


def main() -> None:
    """Run everything and write the result."""
    if not PEER.is_file():
        raise SystemExit(f"{PEER} is missing: run `make bench-eval`, which builds it")
    peer, large, seconds = against_rectools(), at_scale(), reranking()
    same = [value for name, value in peer["difference"].items() if name != "novelty"]
    headline = {
        "metrics_over_rectools": peer["ratio"],
        "memory_over_inputs_mib": peer["memory_over_inputs_mib"],
        "scale_peak_mib": large["peak_mib"],
        "mmr_seconds": seconds["mmr"],
        "dpp_seconds": seconds["dpp"],
        "largest_difference": max(same),
    }
    results = {"rectools": peer, "scale": large, "reranking_seconds": seconds}
    headline = {name: float(f"{value:.4g}") for name, value in headline.items()}
    write(RESULT, {"headline": headline, "targets": TARGETS, "results": results} | about("make bench-eval", [SEED]))
    print(json.dumps(headline, indent=2))


if __name__ == "__main__":
    scale() if sys.argv[1:] == ["scale"] else main()
