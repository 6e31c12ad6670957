"""`make bench-serve`: what words return, what a request costs in process and over HTTP, what a package weighs.

Queries are made from the categories of items that training did not see (the cold ones): one category, two, and one
with another ruled out. Each catalogue is tuned and fitted by its first option set, packaged, and loaded again.
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
from catalogues import ROOT
from cold_start import about, lm_options, write
from quality import NAMES, PLAN, make_trial
from scipy import sparse
from serve_http import percentiles
from threadpoolctl import threadpool_limits

from tailor import columns as c
from tailor.data.hashing import tie_ranks
from tailor.data.item_metadata import ItemMetadata
from tailor.hybrid import selection
from tailor.hybrid.scorer import Hybrid
from tailor.lm.static_encoder import StaticEncoder
from tailor.models.ials import IALS
from tailor.options import IALSOptions
from tailor.registry.encoders import package_encoders
from tailor.serving import recommender as serving
from tailor.serving.recommender import Recommender, load_encoder
from tailor.serving.schema import Request, Settings

K, N_REQUESTS = 20, 300


def packaged(env: str, folder: Path) -> dict[str, float]:
    """Tune, fit and package a catalogue; return what the package weighs and how long it takes to load."""
    trial = make_trial(env, 0)
    d, o = trial.catalogue, trial.options
    settings = o.trials["hybrid"][0]
    scorer, _ = selection.fit_hybrid(trial.holdout, trial.features("hybrid_lora"), settings, o, 0)
    engine = Hybrid(scorer.options, 0, scorer.gate, scorer.click, trial.catalogue.told)
    engine.fit(trial.known, trial.warm, trial.vectors["lora"])
    lm = lm_options(d, {})
    text = d.params["feature_engineering"]["text"]
    metadata = replace(ItemMetadata.build(d.items, d.data["item_text"][c.PIECES], d.data["item_categories"]), text=text)
    student_tokens = d.params["evaluation"]["student_tokens"]
    encoders = package_encoders(metadata, trial.adapter, trial.whitening, lm.encoder, student_tokens, 0)
    Recommender(
        engine=engine,
        user_ids=d.users[c.USER].to_numpy(dtype=object),
        item_ids=d.items[c.ITEM].to_numpy(dtype=object),
        history=trial.known,
        tie_rank=tie_ranks(0, d.items[c.ITEM]),
        about={"text": text},
        metadata=metadata,
        encoder_of=encoders.encoder_of,
        student=encoders.student,
    ).save(folder)
    sizes = {part: sum(f.stat().st_size for f in folder.glob(f"{part}/*")) for part in ("encoder", "student")}
    whole = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
    started = time.perf_counter()
    served = Recommender.load(folder)
    loaded = time.perf_counter()
    served.encoder.encode(["a word"])
    return {
        "package_mib": whole / 2**20,
        "package_encoder_mib": sizes["encoder"] / 2**20,
        "package_student_mib": sizes["student"] / 2**20,
        "load_seconds": loaded - started,
        "first_words_seconds": time.perf_counter() - loaded,
    }


def queries(served: Recommender, seed: int) -> list[tuple[str, set[str], set[str]]]:
    """Return (query, categories asked for, categories ruled out)."""
    engine = served.engine
    assert isinstance(engine, Hybrid)  # noqa: S101
    metadata, rng = served.known_metadata, np.random.default_rng(seed)
    common = {
        n for n, c in zip(metadata.vocabulary.names, metadata.category_matrix.sum(axis=0).A1, strict=True) if c >= 2 * K
    }
    made = []
    for at in rng.permutation(np.flatnonzero(~engine.warm))[:100]:
        own = [name for name in metadata.categories[at] if name in common]
        others = sorted(common - set(own))
        if own and others:
            barred = others[int(rng.integers(len(others)))]
            made.append((own[0].lower(), {own[0]}, set[str]()))
            made.append((f"{own[0]} but no {barred}", {own[0]}, {barred}))
            if len(own) > 1:
                made.append((f"{own[0]} and {own[1]}", set(own[:2]), set[str]()))
    return made


def words(served: Recommender, name: str, seed: int = 0) -> dict[str, float]:
    """Return the share of top-20 places with a category asked for (any, all of them) and with one ruled out."""
    places = dict(zip(served.item_ids, served.known_metadata.categories, strict=True))
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
    told = {
        "queries": float(len(any_of)),
        "right_category_in_top_20": float(np.mean(any_of)),
        "all_categories_in_top_20": float(np.mean(all_of)),
        "ruled_out_in_top_20": float(np.mean(barred)),
    }
    return {f"{name}_{key}": value for key, value in (told | percentiles("query", seconds)).items()}


def in_int8(tuned: Recommender, folder: Path) -> Recommender:
    """Return the same with an encoder that was packaged with int8 weights."""
    tuned.encoder.save(folder, "int8")
    return replace(tuned, encoder_of=lambda: load_encoder(folder))


def meaning(tuned: Recommender, others: dict[str, Recommender]) -> dict[str, float]:
    """Compare other encoders with the tuned one where no category is named: titles of cold items that are asked for.

    Categories are taken out of the texts; a title is found where its item is among the 20 closest of all.
    """
    engine = tuned.engine
    assert isinstance(engine, Hybrid)  # noqa: S101
    cold = np.flatnonzero(~engine.warm)
    titles = [tuned.known_metadata.titles[at] for at in cold]
    told = {}
    own = tuned.encoder.encode(titles)
    for name, served in {"tuned": tuned, **others}.items():
        rows = served.encoder.encode(titles)
        told[f"{name}_cosine_to_tuned"] = float((own * rows).sum(axis=1).mean())
        near = np.argsort(-(rows @ served.features[:, : rows.shape[1]].T), axis=1)[:, :K]
        told[f"{name}_title_found_in_top_20"] = float((near == cold[:, None]).any(axis=1).mean())
    return told


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
    vector, exact, ours, theirs, stream, same = factors[0].copy(), [], [], [], [], []

    def ask(history: list[str], scan_from: int) -> list[str]:
        serving.SCAN_FROM = scan_from
        return served.recommend([Request(history=history)], Settings(k=K))[0].item_ids

    ask(ids[:K].tolist(), 0)
    for _ in range(N_REQUESTS):
        items = np.sort(rng.choice(n, 20, replace=False))
        row = sparse.csr_matrix((np.ones(20, np.float32), (np.zeros(20, int), items)), shape=(1, n))
        for call, seconds in (
            (lambda: factors @ vector, stream),
            (lambda items=items: ask(ids[items].tolist(), 0), ours),
            (lambda items=items: ask(ids[items].tolist(), 10 * n), exact),
            (lambda row=row: peer.recommend(0, row, N=K, recalculate_user=True), theirs),
        ):
            started = time.perf_counter()
            call()
            seconds.append(time.perf_counter() - started)
        same.append(ask(ids[items].tolist(), 0) == ask(ids[items].tolist(), 10 * n))
    told = (
        percentiles("large", ours)
        | percentiles("large_exact", exact)
        | percentiles("large_stream", stream)
        | percentiles("large_implicit", theirs)
    )
    return told | {
        "large_p50_over_stream": told["large_p50_ms"] / told["large_stream_p50_ms"],
        "large_p99_over_p50": told["large_p99_ms"] / told["large_p50_ms"],
        "large_exact_requests_over_implicit": float(np.sum(theirs) / np.sum(exact)),
        "large_requests_over_implicit": float(np.sum(theirs) / np.sum(ours)),
        "large_identical_lists": float(np.mean(same)),
        "large_scanned_in_full": engine.scan.full / engine.scan.rows,
    }


TARGETS = {
    "*_right_category_in_top_20": ">= 0.8",
    "*_ruled_out_in_top_20": "<= 0.1",
    "*_query_p99_ms - session_p99_ms": "<= 20",
    "large_p50_over_stream": "<= 2",
    "large_p99_over_p50": "<= 2",
    "large_exact_requests_over_implicit": ">= 1.0",
    "large_requests_over_implicit": ">= 1.5 with large_identical_lists >= 0.999",
    "http_errors, fuzz_5xx, fuzz_leaks": "0",
    "http_p99_over_in_process_ms": "<= 15",
}


def catalogue(env: str) -> dict[str, float]:
    """Package one catalogue, ask it in words and sessions."""
    with tempfile.TemporaryDirectory() as folder:
        told = packaged(env, Path(folder) / "package")
        tuned = Recommender.load(Path(folder) / "package")
        static = replace(tuned, encoder_of=lambda: cast(StaticEncoder, tuned.student))
        with threadpool_limits(1):
            torch.set_num_threads(1)
            told |= words(tuned, "tuned") | words(static, "static") | sessions(tuned)
            small = in_int8(tuned, Path(folder) / "int8")
            told |= meaning(tuned, {"static": static, "int8": small}) | words(small, "int8")
            weight = sum(file.stat().st_size for file in (Path(folder) / "int8").iterdir())
            told["package_encoder_int8_mib"] = weight / 2**20
    return {f"{NAMES[env]}_{name}": value for name, value in told.items()}


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

    def keep(found: dict[str, float]) -> None:
        headline.update(found)
        result = {"headline": {k: round(v, 4) for k, v in headline.items()}, "targets": TARGETS}
        write(ROOT / "benchmarks" / "results" / "serve.json", result | about("make bench-serve", [0]))
        print(json.dumps(found, indent=2), flush=True)

    with threadpool_limits(1):
        keep(large())
    keep(serve_http.figures())
    for env in sys.argv[1:] or list(PLAN):
        keep(catalogue(env))


if __name__ == "__main__":
    main()
