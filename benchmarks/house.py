"""`make bench-house`: what the core costs: fits, scores, single requests, the load of a package, peak memory.

On MovieLens-100K and the fabricated catalogue with frozen embeddings, each in a process of its own, medians over
repeats. To compare two commits, run it in a checkout of each, alternately, and divide.
"""

import json
import logging
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from catalogues import NAMES, RESULTS, Catalogue, about, peak_mib, prepare, rounded, seconds_of, write
from cold_start import embeddings, lm_options
from threadpoolctl import threadpool_limits

from tailor import columns as c
from tailor.hybrid.model import Hybrid
from tailor.hybrid.operating_point import fit_blend
from tailor.lm.text_encoder import TextEncoder
from tailor.models.base import FittedModel, Query
from tailor.serving.recommender import Recommender
from tailor.serving.schema import Request, Settings

SEED, K, REPEATS, N_REQUESTS = 0, 20, 5, 200
ENVIRONMENTS = ("base", "test")
TARGETS = {"every figure over the former commit's": "<= 1.05"}


def repeated(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return the median seconds of several calls after a first one, and what the last returns."""
    work()
    timed = [seconds_of(work) for _ in range(REPEATS)]
    return median(seconds for seconds, _ in timed), timed[-1][1]


def requests(recommender: Recommender) -> dict[str, list[Request]]:
    """Draw single requests: known users, sessions of 20 items, words."""
    rng, names = np.random.default_rng(SEED), recommender.known_metadata.vocabulary.names
    users = rng.choice(recommender.user_ids, N_REQUESTS)
    sessions = [rng.choice(recommender.item_ids, 20, replace=False).tolist() for _ in range(N_REQUESTS)]
    return {
        "known_user": [Request(user_id=str(user)) for user in users],
        "session": [Request(history=history) for history in sessions],
        "words": [Request(query=str(name).lower()) for name in rng.choice(names, N_REQUESTS)],
    }


def score_all(model: FittedModel, query: Query) -> None:
    """Score every user, a block at a time."""
    for _, block in query.blocks(512):
        model.score(block)


def answer_singly(recommender: Recommender, asked: list[Request]) -> float:
    """Return the median milliseconds of a request."""
    answer, settings = recommender.recommend, Settings(k=K)
    return median(seconds_of(partial(answer, [request], settings))[0] for request in asked) * 1000


def fits(catalogue: Catalogue, vectors: np.ndarray) -> tuple[dict[str, float], FittedModel]:
    """Time the fits and the scores of all users; return the figures and the model."""
    options, holdout, train = catalogue.hybrid_options, catalogue.holdout(), catalogue.matrix(c.TRAIN)
    recipe = Hybrid(options.hybrid_config(options.trials["hybrid"][0]), SEED)
    data, held_out = catalogue.train_set(train, catalogue.warm, vectors), holdout.train_set(vectors)
    fit_seconds, _ = repeated(lambda: recipe.fit(data))
    scorer = recipe.fit(held_out)
    blend_seconds, fitted = repeated(lambda: fit_blend(scorer, holdout, options.blend, options.k, SEED))
    blended = scorer.with_blend(fitted.weights).with_boosts(fitted.boosts).with_click(fitted.click)
    model = blended.recipe.fit(data)
    score_seconds, _ = repeated(lambda: score_all(model, catalogue.histories(train)))
    return {"fit_s": fit_seconds, "blend_s": blend_seconds, "score_all_s": score_seconds}, model


def serving(recommender: Recommender) -> dict[str, float]:
    """Time the load of a package, and single requests."""
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder) / "package"
        recommender.save(package)
        load_seconds, loaded = repeated(lambda: Recommender.load(package))
        figures = {"load_ms": load_seconds * 1000}
        torch.set_num_threads(1)  # as the server does: requests run side by side
        with threadpool_limits(1):
            for kind, asked in requests(loaded).items():
                answer_singly(loaded, asked[:20])
                figures[f"{kind}_ms"] = median(answer_singly(loaded, asked) for _ in range(REPEATS))
    return figures


def one_catalogue(env: str) -> dict[str, float]:
    """Measure one catalogue in this process."""
    logging.disable(logging.INFO)
    catalogue = prepare(env, SEED)
    options = lm_options(catalogue, {"peft": {"peft_type": "FROZEN"}})
    frozen = embeddings(catalogue, None, options)
    figures, model = fits(catalogue, frozen.vectors)
    recommender = catalogue.recommender(
        model,
        catalogue.matrix(c.TRAIN),
        metadata=catalogue.metadata,
        encoder_of=lambda: TextEncoder.merge(None, frozen.whitening, options.encoder),
    )
    return figures | serving(recommender) | {"peak_mib": peak_mib()}


def main() -> None:
    """Measure both catalogues and write; ``--env NAME`` measures one and prints it."""
    if "--env" in sys.argv:
        print(json.dumps(one_catalogue(sys.argv[-1])))
        return
    headline: dict[str, float] = {}
    for env in ENVIRONMENTS:
        command = [sys.executable, __file__, "--env", env]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        figures = json.loads(done.stdout.splitlines()[-1])
        headline |= {f"{NAMES[env]}_{name}": value for name, value in figures.items()}
    size = {"repeats": REPEATS, "requests": N_REQUESTS, "k": K}
    result = {"headline": rounded(headline), "targets": TARGETS, "size": size}
    write(RESULTS / "house.json", result | about("make bench-house", [SEED]))
    print(json.dumps(result["headline"], indent=2))


if __name__ == "__main__":
    main()
