"""`make bench-threads`: factorizations on one thread and on two, in turn: seconds, and how far the factors differ.

Where a row is solved by one thread and sums have a fixed order, nothing differs: iALS in torch, and the ALS of
``implicit``. irspack sums vvᵀ over whichever rows a thread came to, so that its last digits differ from run to run.

    python benchmarks/threads.py
"""

import json
import os

import numpy as np
import torch
from catalogues import RESULTS, about, rounded, seconds_of, write
from scipy import sparse

from tailor.models.base import TrainSet
from tailor.models.registry import build

SIZE, SEED, ROUNDS = (20_000, 5_000, 500_000), 0, 3
#: Options of each that is measured; those of irspack name its threads, the others follow OMP_NUM_THREADS.
MEASURED = {
    "irspack": ("text_ials", {"factors": 64, "iterations": 8}),
    "torch": ("text_ials", {"factors": 64, "iterations": 2, "engine": "torch"}),
    "implicit": ("implicit_als", {"factors": 64, "iterations": 8}),
}


def catalogue() -> TrainSet:
    """Draw interactions by power laws, and texts of 32 dimensions."""
    n_users, n_items, n = SIZE
    rng = np.random.default_rng(SEED)
    rows = (n_users * rng.power(2.0, n)).astype(np.int64)
    items = (n_items * rng.power(0.4, n)).astype(np.int64)
    train = sparse.csr_matrix((np.ones(n, np.float32), (rows, items)), shape=(n_users, n_items))
    train.data[:] = 1
    warm = np.diff(train.tocsc().indptr) > 0
    return TrainSet.of(train, warm, item_features=rng.normal(size=(n_items, 32)).astype(np.float32))


def item_factors(name: str, data: TrainSet, n_threads: int) -> np.ndarray:
    """Fit on so many threads."""
    model, options = MEASURED[name]
    os.environ["OMP_NUM_THREADS"] = str(n_threads)
    torch.set_num_threads(n_threads)
    threads = {"n_threads": n_threads} if name == "irspack" else {}
    return np.asarray(build(model, options | threads, SEED).fit(data).item_factors)


def main() -> None:
    """Measure each in turn; write."""
    data, headline = catalogue(), {}
    for name in MEASURED:
        seconds: dict[int, list[float]] = {1: [], 2: []}
        differences, scale, first = [], 0.0, None
        for _ in range(ROUNDS):
            for n_threads, taken in seconds.items():
                took, factors = seconds_of(lambda n=n_threads, model=name: item_factors(model, data, n))
                first = factors if first is None else first
                taken.append(took)
                differences.append(float(np.abs(factors - first).max()))
                scale = float(np.abs(first).max())
        headline |= {
            f"{name}_seconds_1": min(seconds[1]),
            f"{name}_seconds_2": min(seconds[2]),
            f"{name}_ratio": min(seconds[1]) / min(seconds[2]),
            f"{name}_largest_difference": max(differences) / scale,
        }
        print(name, json.dumps({key: value for key, value in headline.items() if key.startswith(name)}), flush=True)
    targets = {
        "torch_largest_difference": "0",
        "implicit_largest_difference": "0",
        "irspack_largest_difference": "1e-3",
    }
    result = {"headline": rounded(headline, 8), "targets": targets}
    write(RESULTS / "threads.json", result | about("make bench-threads", [SEED]))


if __name__ == "__main__":
    main()
