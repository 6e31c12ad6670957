"""`make bench-serve`: what words return, what a request costs in process and over HTTP, what a package weighs.

Queries are made from the categories of items that training did not see (the cold ones): one category, two, and one
with another negated. Each catalogue is tuned and fitted by its first option set, packaged, and loaded again.
"""

import json
import logging
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import serve_http
import torch
from catalogues import NAMES, RESULTS, about, rounded, seconds_of, write
from cold_start import lm_options
from quality import PLAN, Trial, make_trial
from scipy import sparse
from serve_http import percentiles
from threadpoolctl import threadpool_limits

from tailor.data.ids import IdMap
from tailor.hybrid import selection
from tailor.hybrid.scorer import HybridScorer
from tailor.lm.static_encoder import StaticEncoder
from tailor.lm.text_encoder import TextEncoder
from tailor.models.base import Query
from tailor.models.ials import IALS, IALSConfig
from tailor.registry.encoders import package_encoders
from tailor.serving.recommender import Recommender
from tailor.serving.schema import Request, Settings

K, N_REQUESTS = 20, 300


def build(trial: Trial) -> Recommender:
    """Tune and fit a catalogue by its first option set; return what would be registered."""
    catalogue, options, seed = trial.catalogue, trial.options, trial.catalogue.seed
    data, settings = trial.held_out("hybrid_lora"), options.trials["hybrid"][0]
    scorer, _ = selection.fit_hybrid(trial.holdout, data, settings, options, seed)
    metadata = catalogue.metadata
    encoders = package_encoders(
        metadata,
        trial.adapter,
        trial.embeddings.whitening,
        lm_options(catalogue, {}).encoder,
        catalogue.params["evaluation"]["student_tokens"],
        seed,
    )
    return catalogue.recommender(
        trial.final(scorer.recipe, "hybrid_lora"),
        trial.known,
        metadata=metadata,
        encoder_of=encoders.encoder_of,
        student=encoders.student,
    )


def packaged(env: str, folder: Path) -> dict[str, float]:
    """Package a catalogue; return what the package weighs and how long it takes to load."""
    build(make_trial(env, 0)).save(folder)
    sizes = {part: sum(f.stat().st_size for f in folder.glob(f"{part}/*")) for part in ("encoder", "student")}
    whole = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
    load_seconds, recommender = seconds_of(lambda: Recommender.load(folder))
    first_words_seconds, _ = seconds_of(lambda: recommender.encoder.encode(["a word"]))
    return {
        "package_mib": whole / 2**20,
        "package_encoder_mib": sizes["encoder"] / 2**20,
        "package_student_mib": sizes["student"] / 2**20,
        "load_seconds": load_seconds,
        "first_words_seconds": first_words_seconds,
    }


def cold_items(recommender: Recommender) -> np.ndarray:
    """Return the items that training did not see."""
    model = recommender.model
    assert isinstance(model, HybridScorer)  # noqa: S101
    return np.flatnonzero(~model.warm)


def queries(recommender: Recommender, seed: int) -> list[tuple[str, set[str], set[str]]]:
    """Return (query, categories asked for, categories negated)."""
    metadata, rng = recommender.known_metadata, np.random.default_rng(seed)
    counts = metadata.category_matrix.sum(axis=0).A1
    common = {name for name, count in zip(metadata.vocabulary.names, counts, strict=True) if count >= 2 * K}
    made = []
    for item in rng.permutation(cold_items(recommender))[:100]:
        names = [name for name in metadata.categories[item] if name in common]
        others = sorted(common - set(names))
        if names and others:
            negated = others[int(rng.integers(len(others)))]
            made.append((names[0].lower(), {names[0]}, set[str]()))
            made.append((f"{names[0]} but no {negated}", {names[0]}, {negated}))
            if len(names) > 1:
                made.append((f"{names[0]} and {names[1]}", set(names[:2]), set[str]()))
    return made


def words(recommender: Recommender, name: str, seed: int = 0) -> dict[str, float]:
    """Return the share of top-20 places with a category asked for (any, all of them) and with a negated one."""
    categories = dict(zip(recommender.item_ids, recommender.known_metadata.categories, strict=True))
    any_of, all_of, with_negated, seconds = [], [], [], []
    for query, asked_for, negated in queries(recommender, seed):
        started = time.perf_counter()
        answer = recommender.recommend([Request(query=query)], Settings(k=K))[0]
        seconds.append(time.perf_counter() - started)
        listed = [set(categories[item]) for item in answer.item_ids]
        any_of.append(np.mean([bool(names & asked_for) for names in listed]))
        all_of.append(np.mean([asked_for <= names for names in listed]))
        if negated:
            with_negated.append(np.mean([bool(names & negated) for names in listed]))
    shares = {
        "queries": float(len(any_of)),
        "right_category_in_top_20": float(np.mean(any_of)),
        "all_categories_in_top_20": float(np.mean(all_of)),
        "negated_in_top_20": float(np.mean(with_negated)),
    }
    return {f"{name}_{key}": value for key, value in (shares | percentiles("query", seconds)).items()}


def in_int8(tuned: Recommender, folder: Path) -> Recommender:
    """Return the same with an encoder that was packaged with int8 weights."""
    tuned.encoder.save(folder, "int8")
    return replace(tuned, encoder_of=lambda: TextEncoder.load(folder))


def meaning(tuned: Recommender, others: dict[str, Recommender]) -> dict[str, float]:
    """Compare other encoders with the tuned one where no category is named: titles of cold items that are asked for.

    Categories are taken out of the texts; a title is found where its item is among the 20 closest of all.
    """
    cold, figures = cold_items(tuned), {}
    titles = [tuned.known_metadata.titles[item] for item in cold]
    of_tuned = tuned.encoder.encode(titles)
    for name, recommender in {"tuned": tuned, **others}.items():
        rows = recommender.encoder.encode(titles)
        figures[f"{name}_cosine_to_tuned"] = float((of_tuned * rows).sum(axis=1).mean())
        near = np.argsort(-(rows @ recommender.item_features[:, : rows.shape[1]].T), axis=1)[:, :K]
        figures[f"{name}_title_found_in_top_20"] = float((near == cold[:, None]).any(axis=1).mean())
    return figures


def sessions(recommender: Recommender, seed: int = 0) -> dict[str, float]:
    """Time single requests with a history of 20."""
    rng, ids = np.random.default_rng(seed), recommender.item_ids
    seconds = []
    for _ in range(N_REQUESTS):
        history = rng.choice(ids, 20, replace=False).tolist()
        started = time.perf_counter()
        recommender.recommend([Request(history=history)], Settings(k=K))
        seconds.append(time.perf_counter() - started)
    return percentiles("session", seconds)


def large(n: int = 100_000, d: int = 128, seed: int = 0) -> dict[str, float]:
    """Time fold-in and exact top-20 over n fabricated factors, beside one pass over them and beside `implicit`."""
    from implicit.als import AlternatingLeastSquares  # noqa: PLC0415

    rng = np.random.default_rng(seed)
    factors = rng.normal(size=(n, d)).astype(np.float32)
    state = {"item_factors": factors, "feature_weights": np.zeros((0, d), np.float32)}
    state |= {"gram": 0.1 * factors.astype(np.float64).T @ factors, "n_warm": np.array([n])}
    ids, model = np.array([f"i{item}" for item in range(n)]), IALS(IALSConfig(factors=d)).load(state)
    nothing = Query.of(sparse.csr_matrix((1, n), dtype=np.float32))
    recommender = Recommender(model, IdMap(["u"]), IdMap(ids), nothing, np.arange(n))
    peer = AlternatingLeastSquares(factors=d, use_gpu=False, num_threads=1)
    peer.item_factors, peer.user_factors = factors, np.zeros((1, d), np.float32)
    vector, ours, theirs, stream = factors[0].copy(), [], [], []

    def ask(history: list[str]) -> list[str]:
        return recommender.recommend([Request(history=history)], Settings(k=K))[0].item_ids

    ask(ids[:K].tolist())
    for _ in range(N_REQUESTS):
        items = np.sort(rng.choice(n, 20, replace=False))
        row = sparse.csr_matrix((np.ones(20, np.float32), (np.zeros(20, int), items)), shape=(1, n))
        for call, seconds in (
            (lambda: factors @ vector, stream),
            (lambda items=items: ask(ids[items].tolist()), ours),
            (lambda row=row: peer.recommend(0, row, N=K, recalculate_user=True), theirs),
        ):
            seconds.append(seconds_of(call)[0])
    figures = percentiles("large", ours) | percentiles("large_stream", stream) | percentiles("large_implicit", theirs)
    return figures | {
        "large_p50_over_stream": figures["large_p50_ms"] / figures["large_stream_p50_ms"],
        "large_p99_over_p50": figures["large_p99_ms"] / figures["large_p50_ms"],
        "large_requests_over_implicit": float(np.sum(theirs) / np.sum(ours)),
    }


TARGETS = {
    "*_right_category_in_top_20": ">= 0.8",
    "*_negated_in_top_20": "<= 0.1",
    "*_query_p99_ms - session_p99_ms": "<= 20",
    "large_p50_over_stream": "<= 2",
    "large_p99_over_p50": "<= 2",
    "large_requests_over_implicit": ">= 1.0",
    "http_errors, fuzz_5xx, fuzz_leaks": "0",
    "http_p99_over_in_process_ms": "<= 15",
}


def catalogue(env: str) -> dict[str, float]:
    """Package one catalogue, ask it in words and sessions."""
    with tempfile.TemporaryDirectory() as folder:
        figures = packaged(env, Path(folder) / "package")
        tuned = Recommender.load(Path(folder) / "package")
        static = replace(tuned, encoder_of=lambda: cast(StaticEncoder, tuned.student))
        with threadpool_limits(1):
            torch.set_num_threads(1)
            figures |= words(tuned, "tuned") | words(static, "static") | sessions(tuned)
            small = in_int8(tuned, Path(folder) / "int8")
            figures |= meaning(tuned, {"static": static, "int8": small}) | words(small, "int8")
            weight = sum(file.stat().st_size for file in (Path(folder) / "int8").iterdir())
            figures["package_encoder_int8_mib"] = weight / 2**20
    return {f"{NAMES[env]}_{name}": value for name, value in figures.items()}


def main() -> None:
    """Measure the catalogues named on the command line (default: all three) and the servers; write.

    ``--large`` measures that part alone and prints it; so does ``benchmarks/serve_http.py``.
    """
    logging.disable(logging.INFO)
    if "--large" in sys.argv:
        with threadpool_limits(1):
            print(json.dumps(large(), indent=2))
        return
    headline: dict[str, float] = {}

    def keep(figures: dict[str, float]) -> None:
        headline.update(figures)
        result = {"headline": rounded(headline), "targets": TARGETS}
        write(RESULTS / "serve.json", result | about("make bench-serve", [0]))
        print(json.dumps(figures, indent=2), flush=True)

    with threadpool_limits(1):
        keep(large())
    keep(serve_http.figures())
    for env in sys.argv[1:] or list(PLAN):
        keep(catalogue(env))


if __name__ == "__main__":
    main()
