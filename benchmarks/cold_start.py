"""What both LM benchmarks share: the text-prior iALS on given embeddings, and lists over items it has not seen."""

import json
import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from catalogues import ROOT, Catalogue
from numpy.typing import NDArray
from scipy import sparse

from tailor import columns as c
from tailor.config import parse
from tailor.data.hashing import tie_ranks
from tailor.data.interactions import keep_items
from tailor.files import write_aside
from tailor.lm.config import LMOptions
from tailor.lm.embeddings import Embeddings, embed_catalogue
from tailor.lm.encoder import load_base, tokenise
from tailor.lm.peft import Adapter, attach
from tailor.lm.trainer import tune
from tailor.metrics.accuracy import hits, ndcg
from tailor.models.ials import IALS
from tailor.options import IALSOptions
from tailor.topk import EXCLUDED, top_k

K = 20
Mask = NDArray[np.bool_]
Vectors = NDArray[np.float32]


def merge(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return ``base`` with nested ``changes``."""
    nested = {k: merge(base[k], v) for k, v in changes.items() if isinstance(v, dict) and isinstance(base.get(k), dict)}
    return base | changes | nested


def lm_options(catalogue: Catalogue, changes: dict[str, Any]) -> LMOptions:
    """Return the catalogue's own LM options with changes, and no checkpoint: every arm starts afresh."""
    values = merge(catalogue.params["lm_finetuning"], changes | {"checkpoint": None})
    return parse(LMOptions, values, "lm_finetuning")


def embed(catalogue: Catalogue, adapter: Adapter | None, options: LMOptions) -> Vectors:
    """Encode the catalogue with an adapter, or frozen."""
    return embeddings(catalogue, adapter, options).vectors


def embeddings(catalogue: Catalogue, adapter: Adapter | None, options: LMOptions) -> Embeddings:
    """Encode the catalogue; return the whitening too."""
    base = load_base(options.encoder)
    encoder = base if adapter is None else attach(base, adapter, options.encoder)
    tokens = tokenise(catalogue.data["item_text"][c.TEXT].tolist(), options.encoder)
    return embed_catalogue(encoder, tokens, catalogue.items, catalogue.trainable, options, {}, "encode")


def tuned(catalogue: Catalogue, options: LMOptions) -> tuple[Adapter, dict[str, Any]]:
    """Tune an adapter; return it and what is worth telling of the training."""
    started = datetime.now(UTC)
    adapter, history = tune(catalogue.training_data(), options, catalogue.seed)
    return adapter, {
        "pseudo_cold_a": [round(row["cold_ndcg"], 4) for row in history],
        "epoch": adapter.provenance["epoch"],
        "tuned_parameters": sum(value.numel() for value in adapter.weights.values()),
        "seconds": round((datetime.now(UTC) - started).total_seconds(), 1),
    }


def parameters(options: LMOptions) -> int:
    """Count the weights of the base model."""
    return sum(p.numel() for p in load_base(options.encoder).parameters())


def fit(catalogue: Catalogue, vectors: Vectors, trainable: Mask, settings: dict[str, Any]) -> tuple[IALS, NDArray[Any]]:
    """Fit text-prior iALS on train rows of the items ``trainable``; return it and every user's factor."""
    train = keep_items(catalogue.matrix(c.TRAIN), trainable)
    engine = IALS(parse(IALSOptions, settings, "trial"), catalogue.seed).fit(train, trainable, vectors)
    return engine, engine.fold_in(train)


def per_user(
    catalogue: Catalogue,
    item_factors: NDArray[Any],
    users: NDArray[Any],
    candidates: Mask,
    positives: sparse.csr_matrix,
    seen: sparse.csr_matrix | None = None,
) -> NDArray[np.float64]:
    """Return NDCG@20 of every user (U,) for lists over ``candidates``, NaN without positives; ``seen`` is left out.

    Scores are products of ``users`` (U, d) and ``item_factors`` (n_items, d).
    """
    columns = np.flatnonzero(candidates)
    ties, items = tie_ranks(catalogue.seed, catalogue.items[c.ITEM])[columns], item_factors[columns].T
    values = []
    for start in range(0, len(users), 512):
        block = slice(start, start + 512)
        scores = (users[block] @ items).astype(np.float32)
        if seen is not None:
            scores[seen[block][:, columns].nonzero()] = EXCLUDED
        truth = sparse.csr_matrix(positives[block][:, columns])
        values.append(ndcg(hits(top_k(scores, K, ties)[0], truth), np.diff(truth.indptr), K))
    return np.concatenate(values)


def about(command: str, seeds: list[int]) -> dict[str, Any]:
    """Return where and when figures come from."""
    git = ["git", "rev-parse", "HEAD"]
    commit = subprocess.run(git, capture_output=True, text=True, check=False, cwd=ROOT).stdout.strip()
    return {
        "command": command,
        "commit": commit,
        "date": datetime.now(UTC).date().isoformat(),
        "seeds": seeds,
        "machine": f"{platform.machine()}, {platform.system()}, {os.cpu_count()} CPUs, "
        f"{torch.backends.cpu.get_cpu_capability()}",
    }


def write(path: Path, result: dict[str, Any]) -> None:
    """Write aside and rename."""
    with write_aside(path) as aside:
        aside.write_text(json.dumps(result, indent=2) + "\n")
