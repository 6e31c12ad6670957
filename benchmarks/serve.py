"""`make bench-serve`: the champion of `make run` in process. What words return, and what a request costs.

Queries are made from the categories of items that training did not see (the cold ones): one category, two, and one
with another ruled out.
"""

import json
import sys
import time

import mlflow
import numpy as np
from catalogues import ROOT
from cold_start import about
from scipy import sparse
from threadpoolctl import threadpool_limits

from tailor.cf.ials import IALS
from tailor.hybrid.scorer import Hybrid
from tailor.options import IALSOptions
from tailor.serving.recommender import Recommender
from tailor.serving.request import Request, Settings

K, N_REQUESTS = 20, 300


def champion(env: str) -> Recommender:
    """Load what `make run` registered."""
    mlflow.set_tracking_uri(f"sqlite:///{ROOT / 'mlflow.db'}")
    name = "tailor" if env == "base" else f"tailor-{env}"
    model = mlflow.pyfunc.load_model(f"models:/{name}@champion").unwrap_python_model()
    found: Recommender = model.recommender
    return found


def queries(served: Recommender, seed: int) -> list[tuple[str, set[str], set[str]]]:
    """Return (query, categories asked for, categories ruled out)."""
    engine = served.engine
    assert isinstance(engine, Hybrid)  # noqa: S101
    facts, rng = served.known_facts, np.random.default_rng(seed)
    common = {n for n, c in zip(facts.vocabulary.names, facts.member.sum(axis=0).A1, strict=True) if c >= 2 * K}
    made = []
    for at in rng.permutation(np.flatnonzero(~engine.warm))[:100]:
        own = [name for name in facts.categories[at] if name in common]
        others = sorted(common - set(own))
        if own and others:
            barred = others[int(rng.integers(len(others)))]
            made.append((own[0].lower(), {own[0]}, set[str]()))
            made.append((f"{own[0]} but no {barred}", {own[0]}, {barred}))
            if len(own) > 1:
                made.append((f"{own[0]} and {own[1]}", set(own[:2]), set[str]()))
    return made


def words(served: Recommender, seed: int = 0) -> dict[str, float]:
    """Return the share of top-20 places with a category asked for (any, all of them) and with one ruled out."""
    places = dict(zip(served.item_ids, served.known_facts.categories, strict=True))
    any_of, all_of, barred, seconds = [], [], [], []
    for query, wanted, without in queries(served, seed):
        started = time.perf_counter()
        answer = served.recommend([Request(query=query)], Settings(k=K))[0]
        seconds.append(time.perf_counter() - started)
        listed = [set(places[item]) for item in answer.item_ids]
        any_of.append(np.mean([bool(own & wanted) for own in listed]))
        all_of.append(np.mean([wanted <= own for own in listed]))
        if without:
            barred.append(np.mean([bool(own & without) for own in listed]))
    return {
        "queries": float(len(any_of)),
        "right_category_in_top_20": float(np.mean(any_of)),
        "all_categories_in_top_20": float(np.mean(all_of)),
        "ruled_out_in_top_20": float(np.mean(barred)),
        **percentiles("query", seconds),
    }


def percentiles(name: str, seconds: list[float]) -> dict[str, float]:
    """Return p50 and p99 in milliseconds."""
    return {f"{name}_p{q}_ms": float(np.percentile(seconds, q) * 1000) for q in (50, 99)}


def sessions(served: Recommender, seed: int = 0) -> dict[str, float]:
    """Time single requests with a history of 20."""
    rng, ids = np.random.default_rng(seed), served.item_ids
    seconds = []
    for _ in range(N_REQUESTS):
        history = rng.choice(ids, 20, replace=False).tolist()
        started = time.perf_counter()
        served.recommend([Request(history=history)], Settings(k=K))
        seconds.append(time.perf_counter() - started)
    return percentiles("session", seconds)


def large(n: int = 100_000, d: int = 128, seed: int = 0) -> dict[str, float]:
    """Time fold-in and exact top-20 over n fabricated factors, beside one pass over them and beside `implicit`."""
    from implicit.als import AlternatingLeastSquares  # noqa: PLC0415

    rng = np.random.default_rng(seed)
    factors = rng.normal(size=(n, d)).astype(np.float32)
    state = {"item_factors": factors, "feature_weights": np.zeros((0, d), np.float32), "n_items": np.array([n])}
    state |= {"gram": 0.1 * factors.astype(np.float64).T @ factors, "n_warm": np.array([n])}
    engine = IALS.from_state(state, IALSOptions(factors=d))
    ids = np.array([f"i{at}" for at in range(n)], dtype=object)
    users = np.array([], dtype=object)
    served = Recommender(engine, np.append(users, "u"), ids, sparse.csr_matrix((1, n)), np.arange(n))
    peer = AlternatingLeastSquares(factors=d, use_gpu=False, num_threads=1)
    peer.item_factors, peer.user_factors = factors, np.zeros((1, d), np.float32)
    vector, ours, theirs, stream = factors[0].copy(), [], [], []
    for _ in range(N_REQUESTS):
        items = np.sort(rng.choice(n, 20, replace=False))
        row = sparse.csr_matrix((np.ones(20, np.float32), (np.zeros(20, int), items)), shape=(1, n))
        for call, seconds in (
            (lambda: factors @ vector, stream),
            (lambda items=items: served.recommend([Request(history=ids[items].tolist())], Settings(k=K)), ours),
            (lambda row=row: peer.recommend(0, row, N=K, recalculate_user=True), theirs),
        ):
            started = time.perf_counter()
            call()
            seconds.append(time.perf_counter() - started)
    told = percentiles("large", ours) | percentiles("large_stream", stream) | percentiles("large_implicit", theirs)
    return told | {
        "large_p50_over_stream": told["large_p50_ms"] / told["large_stream_p50_ms"],
        "large_p99_over_p50": told["large_p99_ms"] / told["large_p50_ms"],
        "large_requests_over_implicit": float(np.sum(theirs) / np.sum(ours)),
    }


TARGETS = {
    "*_right_category_in_top_20": ">= 0.8",
    "*_ruled_out_in_top_20": "<= 0.1",
    "large_p50_over_stream": "<= 2",
    "large_p99_over_p50": "<= 2",
    "large_requests_over_implicit": ">= 1.0",
}


def main() -> None:
    """Measure the environments named on the command line (default: base), on one core, and write."""
    headline: dict[str, float] = {}
    with threadpool_limits(1):
        for env in sys.argv[1:] or ["base"]:
            served = champion(env)
            found = words(served) | sessions(served)
            headline |= {f"{env}_{name}": value for name, value in found.items()}
        headline |= large()
    result = {"headline": {k: round(v, 4) for k, v in headline.items()}, "targets": TARGETS}
    path = ROOT / "benchmarks" / "results" / "serve.json"
    path.write_text(json.dumps(result | about("make bench-serve", [0]), indent=2) + "\n")
    print(json.dumps(result["headline"], indent=2))


if __name__ == "__main__":
    main()
