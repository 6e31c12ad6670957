"""Re-ranking: from a pool of candidates to a list. Methods are registered, and plug-ins register theirs."""

from tailor.rerank import mmr, dpp, calibrated, tail, caps  # noqa: I001, F401  (registered in this order)
from tailor.rerank.min_exposure import MinExposure, best_of, ensure_exposure
from tailor.rerank.explore import POOL, draw_lists
from tailor.rerank.base import Pool, Reranker, RerankOptions, find_reranker, registered_rerankers, rerank, reranker

__all__ = [
    "POOL",
    "MinExposure",
    "Pool",
    "RerankOptions",
    "Reranker",
    "best_of",
    "draw_lists",
    "ensure_exposure",
    "find_reranker",
    "registered_rerankers",
    "rerank",
    "reranker",
]
