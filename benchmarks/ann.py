"""`make bench-ann`: an approximate index (usearch's HNSW) beside the exact product with every item, one thread, top 20.

Factors of 128 dimensions whose spectrum falls like that of a factorization's, users drawn the same way. The index is
searched at rising breadth until its recall is 0.99; the product's recall is 1 (ADR 13). The index runs in an
interpreter of its own (.venv-ann), on the same arrays, after the product.
"""

import json
import subprocess
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
from catalogues import RESULTS, ROOT, about, rounded, seconds_of, write
from threadpoolctl import threadpool_limits

from tailor.topk import top_k

D, K, N_USERS, SEED = 128, 20, 500, 0
SIZES = (50_000, 100_000, 300_000)
PEER = ROOT / ".venv-ann" / "bin" / "python"


def vectors(n: int, rng: np.random.Generator) -> np.ndarray:
    """Draw n vectors, deviation of dimension j like 1 / sqrt(j + 1)."""
    return (rng.normal(size=(n, D)) / np.sqrt(np.arange(D) + 1)).astype(np.float32)


def one_size(n: int, folder: Path) -> dict[str, float]:
    """Return times per request, the index's recall, and what building costs."""
    rng = np.random.default_rng(SEED)
    items, users, ties = vectors(n, rng), vectors(N_USERS, rng), np.arange(n)

    def best(user: np.ndarray) -> np.ndarray:
        return top_k((items @ user)[None], K, ties)[0][0]

    seconds, lists = zip(*(seconds_of(partial(best, user)) for user in users), strict=True)
    np.savez(folder / "vectors.npz", items=items, users=users, exact=np.stack(lists))
    subprocess.run([str(PEER), str(ROOT / "benchmarks" / "peers" / "usearch_index.py"), str(folder)], check=True)
    figures: dict[str, float] = json.loads((folder / "peer.json").read_text())
    return {"exact_ms": float(np.median(seconds) * 1000)} | figures


def main() -> None:
    """Measure all sizes; write."""
    if not PEER.is_file():
        raise SystemExit(f"{PEER} is missing: run `make bench-ann`, which builds it")
    headline: dict[str, float] = {}
    with threadpool_limits(1), tempfile.TemporaryDirectory() as folder:
        for n in SIZES:
            figures = one_size(n, Path(folder))
            print(n, figures, flush=True)
            headline |= {f"n{n}_{key}": value for key, value in figures.items()}
    targets = {"none": "every item is scored while an index saves less than a request's other costs"}
    report = {"headline": rounded(headline), "targets": targets}
    write(RESULTS / "ann.json", report | about("make bench-ann", [SEED]))


if __name__ == "__main__":
    main()
