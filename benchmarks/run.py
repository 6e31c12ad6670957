"""`make bench`: ratios against peers in the same process, written to benchmarks/results/skeleton.json.

Each ratio is the median over repetitions, ours and the peer's taken in turn, so that a busy machine hits both alike.
"""

import json
import time
from collections.abc import Callable
from statistics import median

import numpy as np
import ranx
from catalogues import RESULTS, about, seconds_of, write
from irspack import IALSRecommender
from irspack.recommenders._ials_core import IALSSolverConfigBuilder, SolverType
from scipy import sparse

from tailor.metrics.accuracy import hits, ndcg
from tailor.models.base import TrainSet
from tailor.models.ials import IALS, IALSConfig
from tailor.topk import top_k

SEED, N_USERS, N_ITEMS, D, K, REPEATS = 0, 2_000, 2_000, 64, 20, 5


def ratio(
    ours: Callable[[], object], peer: Callable[[], object], clock: Callable[[], float] = time.perf_counter
) -> tuple[float, float, float]:
    """Return ours / peer, and both medians in seconds of the clock."""
    ours(), peer()
    pairs = [(seconds_of(ours, clock)[0], seconds_of(peer, clock)[0]) for _ in range(REPEATS)]
    mine, theirs = median(p[0] for p in pairs), median(p[1] for p in pairs)
    return mine / theirs, mine, theirs


def fabricate() -> sparse.csr_matrix:
    """Return (N_USERS, N_ITEMS) positives with a long tail, about 40 a user."""
    rng = np.random.default_rng(SEED)
    popularity = 1 / np.arange(1, N_ITEMS + 1) ** 0.8
    rows = np.repeat(np.arange(N_USERS), 40)
    columns = rng.choice(N_ITEMS, len(rows), p=popularity / popularity.sum())
    matrix = sparse.csr_matrix((np.ones(len(rows), np.float32), (rows, columns)), shape=(N_USERS, N_ITEMS))
    matrix.data[:] = 1
    return matrix


def bench_fold_in(X: sparse.csr_matrix) -> tuple[float, float, float]:
    """Exact fold-in of every user against irspack's Cholesky user step, CPU seconds of one thread each."""
    ours = IALS(IALSConfig(factors=D, iterations=3), SEED).fit(TrainSet.of(X, np.ones(N_ITEMS, bool)))
    peer = IALSRecommender(X, n_components=D, alpha0=0.1, reg=0.003, train_epochs=3, n_threads=1, random_seed=SEED)
    peer.start_learning()
    for _ in range(3):
        peer.run_epoch()
    solver = IALSSolverConfigBuilder().set_n_threads(1).set_solver_type(SolverType.CHOLESKY).build()
    core = peer.trainer_as_ials.core_trainer
    return ratio(lambda: ours.fold_in(X), lambda: core.transform_user(X, solver), time.process_time)


def bench_metrics(X: sparse.csr_matrix) -> tuple[float, float, float]:
    """NDCG@20 of ready lists against ranx on ready Qrels and Run."""
    rng = np.random.default_rng(SEED)
    lists, values = top_k(rng.random((N_USERS, N_ITEMS)).astype(np.float32), K, np.arange(N_ITEMS))
    n = np.diff(X.indptr)
    qrels = ranx.Qrels({str(u): {str(i): 1 for i in X[[u]].indices} for u in range(N_USERS)})
    run = ranx.Run(
        {str(u): {str(i): float(s) for i, s in zip(lists[u], values[u], strict=True)} for u in range(N_USERS)}
    )
    return ratio(lambda: np.nanmean(ndcg(hits(lists, X), n, K)), lambda: ranx.evaluate(qrels, run, f"ndcg@{K}"))


def main() -> None:
    """Run all and write the result."""
    X = fabricate()
    fold_in, metrics = bench_fold_in(X), bench_metrics(X)
    result = {
        "headline": {"fold_in_over_irspack_cholesky": round(fold_in[0], 3), "ndcg_over_ranx": round(metrics[0], 3)},
        "targets": {"fold_in_over_irspack_cholesky": "<= 1.5", "ndcg_over_ranx": "<= 1.0"},
        "seconds": {"fold_in": fold_in[1:], "ndcg": metrics[1:]},
        "size": {"users": N_USERS, "items": N_ITEMS, "factors": D, "k": K, "repeats": REPEATS},
    }
    write(RESULTS / "skeleton.json", result | about("make bench", [SEED]))
    print(json.dumps(result["headline"], indent=2))


if __name__ == "__main__":
    main()
