"""`make bench-batch`: lists of all users by one process and by two, in one run: users per second, and the same file.

A catalogue with planted clusters is fabricated, a hybrid is fitted on it and packaged. Then the top 20 of every user
are written as `kedro run --pipelines=inference` writes them, by one process and by two, in turn; the start of the
processes counts. BLAS has one thread in each. Where other work shares the cores, seconds of the processors tell more
than users per second: what two processes need more than one, all of them together, is their price.

    python benchmarks/batch.py [users x items x rows]
"""

import argparse
import hashlib
import json
import os
import resource
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from catalogues import RESULTS, about, rounded, seconds_of, write
from scale import name_of, parse_size
from scipy import sparse

from tailor import columns as c
from tailor.data.fabricate_large import CatalogueSize, cluster_of, write_catalogue
from tailor.data.hashing import tie_ranks
from tailor.data.ids import IdMap
from tailor.datasets import Parts, ResumableParquetDataset
from tailor.hybrid.blend import BlendModel, BlendWeights
from tailor.hybrid.config import HybridConfig
from tailor.hybrid.model import Hybrid
from tailor.models.base import TrainSet
from tailor.serving.batch import BatchLister
from tailor.serving.recommender import Recommender
from tailor.threads import blocks

#: Weights of the sources, about as validation chooses them.
SOURCES = {"ials": 0.3, "ease": 0.3, "slit": 0.2, "text_knn": 0.1, "popular": 0.1}
OPTIONS = {"max_dense_items": 5000, "neighbours": 100}
K, BLOCK_USERS, SEED, ROUNDS = 20, 512, 0, 2
DEFAULT = CatalogueSize(20_000, 5_000, 500_000)


def packaged(size: CatalogueSize, folder: Path) -> Recommender:
    """Fabricate a catalogue, fit a hybrid, write its package and load it."""
    write_catalogue(folder / "raw", size)
    rows = pd.read_parquet(folder / "raw" / "interactions.parquet").sort_values([c.USER, c.TIMESTAMP])
    users, items = (IdMap(np.array([f"{kind}{n}" for n in range(count)], dtype=object))
                    for kind, count in (("u", size.users), ("i", size.items)))  # fmt: skip
    cells = users.indices(rows[c.USER].tolist()), items.indices(rows[c.ITEM].tolist())
    places = rows.groupby(c.USER, sort=False).cumcount().to_numpy() + 1.0
    train, order = (sparse.csr_matrix((values, cells), shape=(size.users, size.items), dtype=np.float32)
                    for values in (np.ones(len(rows)), places))  # fmt: skip
    clusters, rng = cluster_of(pd.Series(items.ids), size.clusters).astype(int), np.random.default_rng(SEED)
    texts = np.eye(size.clusters)[np.asarray(clusters)] + 0.1 * rng.normal(size=(size.items, size.clusters))
    features = (texts / np.linalg.norm(texts, axis=1, keepdims=True)).astype(np.float32)
    data = TrainSet.of(train, np.diff(train.tocsc().indptr) > 0, order=order, item_features=features)
    nearest = dict.fromkeys(("ease", "slit"), OPTIONS)
    weights = np.array(list(SOURCES.values()), np.float32)
    blend = BlendWeights(tuple(SOURCES), BlendModel(weights), (), weights)
    config = HybridConfig(sources={name: nearest.get(name, {}) for name in SOURCES})
    model = Hybrid(config, SEED, blend).fit(data)
    ties = tie_ranks(SEED, pd.Series(items.ids))
    Recommender(model, users, items, data.queries(), ties, {"fit_on": "train"}).save(folder / "package")
    return Recommender.load(folder / "package")


def written(lister: BatchLister, users: np.ndarray, workers: int, path: Path) -> str:
    """Write the lists of all users; return the hash of the file."""
    of = [users[part] for part in blocks(len(users), BLOCK_USERS)]
    ResumableParquetDataset(filepath=str(path)).save(Parts({}, of, lister, workers, "inference.workers"))
    return hashlib.sha256(path.read_bytes()).hexdigest()


def processor_seconds() -> float:
    """Return what this process and those that it started, and that have ended, used of the processors."""
    used = [resource.getrusage(whose) for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def main() -> None:
    """Measure one process and two in turn; write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("size", nargs="?", type=parse_size, default=DEFAULT, help="users x items x rows")
    size = parser.parse_args().size
    seconds: dict[int, list[float]] = {1: [], 2: []}
    of_processors: dict[int, list[float]] = {1: [], 2: []}
    hashes = set()
    with tempfile.TemporaryDirectory() as folder:
        model = packaged(size, Path(folder))
        lister, _ = BatchLister.of(model, None, K)
        for turn in range(ROUNDS):
            for workers, taken in seconds.items():
                path, before = Path(folder) / "t.parquet", processor_seconds()
                took, digest = seconds_of(partial(written, lister, model.user_ids, workers, path))
                taken.append(took)
                of_processors[workers].append(processor_seconds() - before)
                hashes.add(digest)
                print(f"round {turn + 1}, {workers} at a time: {took:.1f} s", flush=True)
    headline = {f"users_per_s_{n}": size.users / min(taken) for n, taken in seconds.items()}
    headline |= {f"processor_s_{n}": min(taken) for n, taken in of_processors.items()}
    headline |= {
        "ratio": min(seconds[1]) / min(seconds[2]),
        "processor_ratio": min(of_processors[2]) / min(of_processors[1]),
        "different_files": len(hashes) - 1,
    }
    targets = {"different_files": "0", "processor_ratio": "<= 1.5", "ratio": ">= 1.5, on 2 free cores"}
    result = {
        "headline": rounded(headline),
        "targets": targets,
        "size": name_of(size),
        "seconds": seconds,
        "load": os.getloadavg()[1],
    }
    write(RESULTS / "batch.json", result | about(f"make bench-batch SIZES={name_of(size)}", [SEED]))
    print(json.dumps(rounded(headline), indent=2))


if __name__ == "__main__":
    main()
