"""What is deployed: a fitted scorer, the id maps and the known histories, answering requests without training code."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from tailor.cf.base import Engine
from tailor.cf.store import load_engines, save_engines
from tailor.cf.topk import EXCLUDED, top_k
from tailor.errors import BadInputError
from tailor.hybrid import scorer as _  # noqa: F401  (registers the hybrid engine)

MAX_K = 10_000
MAX_REQUESTS = 100_000
MAX_HISTORY = 10_000
_MODEL, _HISTORY, _IDS, _ABOUT = "model.safetensors", "history.npz", "ids.npz", "about.json"


@dataclass(frozen=True)
class Request:
    """Who asks: a known user, a list of consumed items, both, or neither."""

    user_id: str | None = None
    """External id; an unknown one is treated like none."""
    history: Sequence[str] = ()
    """External item ids, added to what is known of the user; unknown items are counted and left out."""


@dataclass(frozen=True)
class Answer:
    """A ranked list and how it came about."""

    item_ids: list[str]
    scores: list[float]
    path: str
    """known_user, fold_in (from the request's history) or popular (nothing known)."""
    unknown_history: int = 0
    """Items of the request's history that the catalogue does not have."""


@dataclass
class Recommender:
    """Answers requests in blocks; a user is always one fold-in of the history, so batch and single agree."""

    engine: Engine[Any]
    user_ids: NDArray[np.object_]
    item_ids: NDArray[np.object_]
    history: sparse.csr_matrix
    """Known interactions (U, n_items)."""
    tie_rank: NDArray[np.int64]
    about: dict[str, Any] = field(default_factory=dict)
    """Tags: seed, fit_on, hashes."""

    def __post_init__(self) -> None:
        """Build the look-ups."""
        self._user_index, self._item_index = pd.Index(self.user_ids), pd.Index(self.item_ids)

    def recommend(
        self, requests: Sequence[Request], k: int = 20, exclude_seen: bool = True, block_users: int = 512
    ) -> list[Answer]:
        """Answer requests, each with at most k items of the whole catalogue, cold ones included.

        Raises:
            BadInputError: k, the number of requests or a history is out of bounds.
        """
        if not 1 <= k <= MAX_K:
            raise BadInputError(f"k = {k} is out of bounds: 1 to {MAX_K}")
        if len(requests) > MAX_REQUESTS:
            raise BadInputError(f"{len(requests)} requests in one call; send at most {MAX_REQUESTS} at a time")
        answers: list[Answer] = []
        for start in range(0, len(requests), block_users):
            answers += self._block(requests[start : start + block_users], k, exclude_seen)
        return answers

    def _block(self, requests: Sequence[Request], k: int, exclude_seen: bool) -> list[Answer]:
        users = self._user_index.get_indexer(pd.Index([r.user_id for r in requests], dtype=object))
        given, unknown = self._given(requests)
        known = self.history[np.maximum(users, 0)].multiply((users >= 0)[:, None])
        past = sparse.csr_matrix(known + given, dtype=np.float32)
        past.eliminate_zeros()
        past.data[:] = 1.0
        scores = self.engine.score(past, users)
        if exclude_seen:
            scores[past.nonzero()] = EXCLUDED
        items, values = top_k(scores, k, self.tie_rank)
        n_given, n_past = np.diff(given.indptr), np.diff(past.indptr)
        answers = []
        for row, user in enumerate(users):
            path = "popular" if not n_past[row] else "known_user" if user >= 0 and not n_given[row] else "fold_in"
            filled = items[row] >= 0
            listed = self.item_ids[items[row][filled]].tolist()
            answers.append(Answer(listed, values[row][filled].astype(float).tolist(), path, int(unknown[row])))
        return answers

    def _given(self, requests: Sequence[Request]) -> tuple[sparse.csr_matrix, NDArray[np.int64]]:
        lengths = np.array([len(r.history) for r in requests])
        if lengths.max(initial=0) > MAX_HISTORY:
            raise BadInputError(f"history: {lengths.max()} items in one request; send at most {MAX_HISTORY}")
        rows = np.repeat(np.arange(len(requests)), lengths)
        items = self._item_index.get_indexer(pd.Index([item for r in requests for item in r.history], dtype=object))
        found = items >= 0
        shape = (len(requests), len(self.item_ids))
        given = sparse.csr_matrix((np.ones(int(found.sum()), np.float32), (rows[found], items[found])), shape=shape)
        return given, np.bincount(rows[~found], minlength=len(requests))

    def save(self, folder: Path) -> None:
        """Write everything to ``folder``: safetensors, npz without pickle, JSON."""
        folder.mkdir(parents=True, exist_ok=True)
        save_engines(folder / _MODEL, {"model": self.engine})
        sparse.save_npz(folder / _HISTORY, self.history)
        users, items = self.user_ids.astype(str), self.item_ids.astype(str)
        np.savez(folder / _IDS, users=users, items=items, tie_rank=self.tie_rank)
        (folder / _ABOUT).write_text(json.dumps(self.about, indent=2))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what :meth:`save` wrote."""
        with np.load(folder / _IDS, allow_pickle=False) as ids:
            return cls(
                engine=load_engines(folder / _MODEL)["model"],
                user_ids=ids["users"].astype(object),
                item_ids=ids["items"].astype(object),
                history=sparse.csr_matrix(sparse.load_npz(folder / _HISTORY)),
                tie_rank=ids["tie_rank"],
                about=json.loads((folder / _ABOUT).read_text()),
            )
