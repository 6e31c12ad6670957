"""Run by the interpreter of .venv-ann: usearch's HNSW on the vectors of a folder, timed; writes peer.json there."""

import json
import sys
import time
from pathlib import Path

import numpy as np
from usearch.index import Index

BREADTHS, ENOUGH = (32, 64, 128, 256, 512, 1024, 2048), 0.99


def main() -> None:
    """Build the index, search at rising breadth until the recall is enough, one request after the other."""
    folder = Path(sys.argv[1])
    with np.load(folder / "vectors.npz", allow_pickle=False) as file:
        items, users, exact = file["items"], file["users"], file["exact"]
    started = time.perf_counter()
    index = Index(ndim=items.shape[1], metric="ip", dtype="f32")
    index.add(np.arange(len(items)), items, threads=1)
    figures = {"index_build_seconds": time.perf_counter() - started}
    for breadth in BREADTHS:
        index.expansion_search, seconds, lists = breadth, [], []
        for user in users:
            started = time.perf_counter()
            lists.append(index.search(user, exact.shape[1], threads=1).keys)
            seconds.append(time.perf_counter() - started)
        recalls = [len(np.intersect1d(a, b)) / len(a) for a, b in zip(exact, lists, strict=True)]
        figures |= {"index_breadth": float(breadth), "index_recall": float(np.mean(recalls))}
        figures["index_ms"] = float(np.median(seconds) * 1000)
        if figures["index_recall"] >= ENOUGH:
            break
    (folder / "peer.json").write_text(json.dumps(figures))


if __name__ == "__main__":
    main()
