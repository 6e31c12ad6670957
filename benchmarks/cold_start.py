"""What both LM benchmarks share: the text-prior iALS on given embeddings, and lists over items it has not seen."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
from catalogues import Catalogue
from numpy.typing import NDArray
from scipy import sparse

from tailor import columns as c
from tailor.config import parse
from tailor.data.interactions import keep_items
from tailor.lm.config import LMOptions
from tailor.lm.embeddings import Embeddings, embed_catalogue
from tailor.lm.encoder import load_base, tokenise
from tailor.lm.peft import Adapter, attach
from tailor.lm.trainer import tune
from tailor.metrics.accuracy import hits, ndcg
from tailor.models.ials import FittedIALS, IALSConfig, TextIALS
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


def embed_frozen(catalogue: Catalogue) -> Vectors:
    """Encode the catalogue by its encoder as it is."""
    return embed(catalogue, None, lm_options(catalogue, {"peft": {"peft_type": "FROZEN"}}))


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


def fit(
    catalogue: Catalogue, vectors: Vectors, trainable: Mask, settings: dict[str, Any]
) -> tuple[FittedIALS, NDArray[Any]]:
    """Fit text-prior iALS on train rows of the items ``trainable``; return it and every user's factor."""
    data = catalogue.train_set(keep_items(catalogue.matrix(c.TRAIN), trainable), trainable, vectors)
    model = TextIALS(parse(IALSConfig, settings, "trial"), catalogue.seed).fit(data)
    # Histories are 0/1: places in a user's order stand in a matrix of their own and cannot be read as confidences.
    return model, model.fold_in(data.interactions)


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
    ties, items = catalogue.tie_rank[columns], item_factors[columns].T
    values = []
    for start in range(0, len(users), 512):
        block = slice(start, start + 512)
        scores = (users[block] @ items).astype(np.float32)
        if seen is not None:
            scores[seen[block][:, columns].nonzero()] = EXCLUDED
        truth = sparse.csr_matrix(positives[block][:, columns])
        values.append(ndcg(hits(top_k(scores, K, ties)[0], truth), np.diff(truth.indptr), K))
    return np.concatenate(values)
