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
from tailor.hybrid.scorer import Hybrid

MAX_K = 10_000
MAX_REQUESTS = 100_000
MAX_ITEMS = 10_000
_MODEL, _HISTORY, _IDS, _ABOUT = "model.safetensors", "history.npz", "ids.npz", "about.json"


@dataclass(frozen=True)
class Request:
    """Who asks: a known user, a list of consumed items, both, or neither."""

    user_id: str | None = None
    """External id; an unknown one is treated like none."""
    history: Sequence[str] = ()
    """External item ids, added to what is known of the user; unknown items are counted and left out."""
    candidates: Sequence[str] = ()
    """External item ids that the list is chosen from; none: the whole catalogue. Unknown ones are counted."""
    exclude: Sequence[str] = ()
    """External item ids that must not be listed."""


@dataclass(frozen=True)
class Settings:
    """How to answer, the same for all requests of a call."""

    k: int = 20
    """Longest list."""
    exclude_seen: bool = True
    """Leave out what is known of the user and the request's history."""
    tail_weight: float | None = None
    """Lift of tail items in [0, 1]; None: where the model stands."""
    cold_exposure: float | None = None
    """Lift of items without train interactions in [0, 1]; None: where the model stands."""
    min_score: float | None = None
    """List nothing that scores less."""

    def __post_init__(self) -> None:
        """Refuse what is out of bounds.

        Raises:
            BadInputError: names the setting, its value and the bounds.
        """
        if not 1 <= self.k <= MAX_K:
            raise BadInputError(f"k = {self.k} is out of bounds: 1 to {MAX_K}")
        for name, value in self.dials().items():
            if not 0 <= value <= 1:
                raise BadInputError(f"{name} = {value} is out of bounds: 0 to 1")
        if self.min_score is not None and np.isnan(self.min_score):
            raise BadInputError("min_score = nan is not a number; leave it out to list whatever comes")

    def dials(self) -> dict[str, float]:
        """Return the dials that were set."""
        given = {"tail_weight": self.tail_weight, "cold_exposure": self.cold_exposure}
        return {name: value for name, value in given.items() if value is not None}


@dataclass(frozen=True)
class Answer:
    """A ranked list and how it came about."""

    item_ids: list[str]
    scores: list[float]
    path: str
    """known_user, fold_in (from the request's history) or popular (nothing known)."""
    unknown_history: int = 0
    """Items of the request's history that the catalogue does not have."""
    unknown_candidates: int = 0
    """Items of the request's candidates that the catalogue does not have."""


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
        self, requests: Sequence[Request], settings: Settings | None = None, block_users: int = 512
    ) -> list[Answer]:
        """Answer requests, each with at most k items, cold ones included.

        Raises:
            BadInputError: the number of requests or a list of ids is out of bounds, or dials are set that the model
                does not have.
        """
        if len(requests) > MAX_REQUESTS:
            raise BadInputError(f"{len(requests)} requests in one call; send at most {MAX_REQUESTS} at a time")
        settings = settings or Settings()
        engine, answers = self._turned(settings.dials()), list[Answer]()
        for start in range(0, len(requests), block_users):
            answers += self._block(engine, requests[start : start + block_users], settings)
        return answers

    def _turned(self, dials: dict[str, float]) -> Engine[Any]:
        if not dials:
            return self.engine
        if not isinstance(self.engine, Hybrid):
            raise BadInputError(
                f"{', '.join(dials)}: a {type(self.engine).__name__} has no dials, only the hybrid does"
            )
        return self.engine.with_dials(self.engine.options.dials.model_copy(update=dials))

    def _block(self, engine: Engine[Any], requests: Sequence[Request], settings: Settings) -> list[Answer]:
        users = self._user_index.get_indexer(pd.Index([r.user_id for r in requests], dtype=object))
        given, unknown = self._named([r.history for r in requests], "history")
        allowed, strange = self._named([r.candidates for r in requests], "candidates")
        known = self.history[np.maximum(users, 0)].multiply((users >= 0)[:, None])
        past = sparse.csr_matrix(known + given, dtype=np.float32)
        past.eliminate_zeros()
        past.data[:] = 1.0
        scores = engine.score(past, users)
        if settings.exclude_seen:
            scores[past.nonzero()] = EXCLUDED
        for at in np.flatnonzero([len(r.candidates) > 0 for r in requests]):
            others = np.ones(scores.shape[1], dtype=bool)
            others[allowed[[at]].indices] = False
            scores[at, others] = EXCLUDED
        scores[self._named([r.exclude for r in requests], "exclude")[0].nonzero()] = EXCLUDED
        if settings.min_score is not None:
            scores[scores < settings.min_score] = EXCLUDED
        items, values = top_k(scores, settings.k, self.tie_rank)
        n_given, n_past = np.diff(given.indptr), np.diff(past.indptr)
        answers = []
        for row, user in enumerate(users):
            path = "popular" if not n_past[row] else "known_user" if user >= 0 and not n_given[row] else "fold_in"
            filled = items[row] >= 0
            listed, scored = self.item_ids[items[row][filled]].tolist(), values[row][filled].astype(float).tolist()
            answers.append(Answer(listed, scored, path, int(unknown[row]), int(strange[row])))
        return answers

    def _named(self, lists: Sequence[Sequence[str]], name: str) -> tuple[sparse.csr_matrix, NDArray[np.int64]]:
        """Return lists of external ids as 0/1 rows (B, n_items), and how many ids of each are unknown (B,)."""
        lengths = np.array([len(ids) for ids in lists])
        if lengths.max(initial=0) > MAX_ITEMS:
            raise BadInputError(f"{name}: {lengths.max()} items in one request; send at most {MAX_ITEMS}")
        rows = np.repeat(np.arange(len(lists)), lengths)
        items = self._item_index.get_indexer(pd.Index([item for ids in lists for item in ids], dtype=object))
        found = items >= 0
        shape = (len(lists), len(self.item_ids))
        matrix = sparse.csr_matrix((np.ones(int(found.sum()), np.float32), (rows[found], items[found])), shape=shape)
        return matrix, np.bincount(rows[~found], minlength=len(lists))

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
