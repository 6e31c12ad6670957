"""`make bench-ann`: an approximate index (usearch's HNSW) beside the exact scan by codes, one thread, top 20.

Factors of 128 dimensions whose spectrum falls like that of a factorization's, users drawn the same way. The index is
searched at rising breadth until its recall is 0.99; the scan's recall is 1 by its certificate (ADR 13).
"""

import json
import platform
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits
from usearch.index import Index

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))

from tailor.models.scan import Scan  # noqa: E402

D, K, N_USERS, SEED = 128, 20, 500, 0
SIZES = (50_000, 100_000, 300_000)
BREADTHS = (32, 64, 128, 256, 512, 1024, 2048)


def vectors(n: int, rng: np.random.Generator) -> np.ndarray:
    """Draw n vectors, deviation of dimension j like 1 / sqrt(j + 1)."""
    return (rng.normal(size=(n, D)) / np.sqrt(np.arange(D) + 1)).astype(np.float32)


def median_ms(seconds: list[float]) -> float:
    """Return the median in milliseconds."""
    return float(np.median(seconds) * 1000)


def one_size(n: int) -> dict[str, float]:
    """Return times per request, the index's recall, and what building costs."""
    rng = np.random.default_rng(SEED)
    items, users, ties = vectors(n, rng), vectors(N_USERS, rng), np.arange(n)
    started = time.perf_counter()
    scan = Scan(items)
    told = {"scan_build_seconds": time.perf_counter() - started}
    nothing, seconds, exact = np.zeros(0, np.int64), [], []
    for user in users:
        started = time.perf_counter()
        exact.append(scan.top_k(user, nothing, K, ties)[0])
        seconds.append(time.perf_counter() - started)
    told |= {"scan_ms": median_ms(seconds), "scan_scanned_in_full": scan.full / scan.rows}
    started = time.perf_counter()
    index = Index(ndim=D, metric="ip", dtype="f32")
    index.add(np.arange(n), items, threads=1)
    told["index_build_seconds"] = time.perf_counter() - started
    for breadth in BREADTHS:
        index.expansion_search, seconds, found = breadth, [], []
        for user in users:
            started = time.perf_counter()
            found.append(index.search(user, K, threads=1).keys)
            seconds.append(time.perf_counter() - started)
        recall = float(np.mean([len(np.intersect1d(a, b)) / K for a, b in zip(exact, found, strict=True)]))
        told |= {"index_breadth": float(breadth), "index_ms": median_ms(seconds), "index_recall": recall}
        if recall >= 0.99:
            break
    return told


def main() -> None:
    """Measure all sizes; write."""
    headline = {}
    with threadpool_limits(1):
        for n in SIZES:
            found = one_size(n)
            print(n, found, flush=True)
            headline |= {f"n{n}_{key}": round(value, 4) for key, value in found.items()}
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True).stdout  # noqa: S607
    report = {
        "headline": headline,
        "targets": {"none": "the scan stays while an index saves less than a request's other costs"},
        "command": "make bench-ann",
        "commit": commit.strip(),
        "date": datetime.now(UTC).date().isoformat(),
        "seeds": [SEED],
        "machine": platform.processor() or platform.machine(),
    }
    (ROOT / "benchmarks" / "results" / "ann.json").write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
