"""What is deployed: a fitted scorer, ids, known histories, and what is known of items; no training code."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tailor.cf.base import Engine, Floats
from tailor.cf.store import load_engines, save_engines
from tailor.cf.topk import EXCLUDED, top_k
from tailor.data.matrices import binary
from tailor.errors import BadInputError
from tailor.hybrid.explain import weights_of_lists
from tailor.hybrid.gate import SOURCES
from tailor.hybrid.rerank import ItemFacts, rerank
from tailor.hybrid.scorer import Hybrid
from tailor.options import RerankOptions
from tailor.serving import manifest
from tailor.serving.explain import explain_list
from tailor.serving.facts import Facts
from tailor.serving.query import Wish
from tailor.serving.request import Answer, Request, Settings

MAX_REQUESTS = 100_000
#: Candidates that diversity chooses from.
POOL = 200
#: Standard deviations that an item gains by having all categories a query names; what a history of n items weighs
#: beside a query is n / (n + _EVIDENCE); what popularity weighs where there is a query and no history.
_CATEGORY_GAIN, _EVIDENCE, _PRIOR = 4.0, 5.0, 0.15
_REASONS = dict(
    zip(SOURCES, ("taken_together", "taken_together", "taken_next", "similar_text", "popular"), strict=True)
)
_MODEL, _HISTORY, _IDS, _ABOUT = "model.safetensors", "history.npz", "ids.npz", "about.json"
_FACTS, _ENCODER = "facts.parquet", "encoder"


class Encoder(Protocol):
    """From texts to rows of the catalogue's embedding space."""

    def encode(self, texts: list[str]) -> NDArray[np.float32]:
        """Return L2-normalised rows (n, m)."""

    def save(self, folder: Path) -> None:
        """Write a folder."""


def load_encoder(folder: Path) -> Encoder:
    """Load the packaged encoder; torch and transformers are imported here, when words first come in."""
    from tailor.lm.text_encoder import TextEncoder  # noqa: PLC0415

    return TextEncoder.load(folder)


@dataclass
class Recommender:
    """Answers requests in blocks; a user is always one fold-in of the history, so batch and single agree."""

    engine: Engine[Any]
    user_ids: NDArray[np.object_]
    item_ids: NDArray[np.object_]
    history: sparse.csr_matrix
    """Known interactions (U, n_items); values order a user's items where time is known."""
    tie_rank: NDArray[np.int64]
    about: dict[str, Any] = field(default_factory=dict)
    """Tags: seed, fit_on, hashes."""
    facts: Facts | None = None
    """Titles, categories, texts, numbers; None: no words, filters or diversity."""
    encoder_of: Callable[[], Encoder] | None = None
    """Makes the encoder when it is first needed."""
    removed: NDArray[np.bool_] | None = None
    """Items that must not be listed any more (n_items,)."""

    def __post_init__(self) -> None:
        """Build the look-ups."""
        self._user_at = {user: at for at, user in enumerate(self.user_ids.tolist())}
        self._item_at = {item: at for at, item in enumerate(self.item_ids.tolist())}

    @cached_property
    def encoder(self) -> Encoder:
        """The query and item encoder.

        Raises:
            BadInputError: this model was packaged without one.
        """
        if self.encoder_of is None or self.facts is None or not isinstance(self.engine, Hybrid):
            raise BadInputError("This model holds no text encoder: it cannot take words")
        return self.encoder_of()

    @property
    def features(self) -> Floats:
        """Embeddings of the items (n_items, m)."""
        engine: Any = self.engine
        found: Floats = engine.sources["text"].features
        return found

    def recommend(
        self, requests: Sequence[Request], settings: Settings | None = None, block_users: int = 512
    ) -> list[Answer]:
        """Answer requests, each with at most k items, cold ones included.

        Raises:
            BadInputError: too many requests, a filter that the catalogue does not have, or dials, words or diversity
                that the model does not have.
        """
        if len(requests) > MAX_REQUESTS:
            raise BadInputError(f"{len(requests)} requests in one call; send at most {MAX_REQUESTS} at a time")
        settings = settings or Settings()
        engine, answers = self._turned(settings.dials()), list[Answer]()
        for start in range(0, len(requests), block_users):
            answers += self._block(engine, requests[start : start + block_users], settings)
        return answers

    def places(self, item_ids: Sequence[str]) -> NDArray[np.int64]:
        """Return the internal ids of external ones, -1 where unknown."""
        return np.array([self._item_at.get(item, -1) for item in item_ids], dtype=np.int64)

    def similar(self, item_id: str, k: int = 20) -> tuple[list[str], list[float]]:
        """Return the k items closest to one: the mean cosine of factors and of texts.

        Raises:
            BadInputError: the item is unknown, or the model is not a hybrid.
        """
        at = int(self.places([item_id])[0])
        if at < 0:
            raise BadInputError(f"Unknown item '{item_id}'")
        if not isinstance(self.engine, Hybrid):
            raise BadInputError(f"A {type(self.engine).__name__} has no factors and texts to compare items by")
        rows = self.engine.sides(sparse.csr_matrix(np.zeros((1, len(self.item_ids)), np.float32)), whole=True).items
        scores = ((rows @ rows[at]) / np.float32(2.0))[None]
        scores[0, at] = EXCLUDED
        if self.removed is not None:
            scores[0, self.removed] = EXCLUDED
        items, values = top_k(scores, k, self.tie_rank)
        filled = items[0] >= 0
        return self.item_ids[items[0][filled]].tolist(), values[0][filled].astype(float).tolist()

    def _turned(self, dials: dict[str, float]) -> Engine[Any]:
        if not dials:
            return self.engine
        if not isinstance(self.engine, Hybrid):
            raise BadInputError(
                f"{', '.join(dials)}: a {type(self.engine).__name__} has no dials, only the hybrid does"
            )
        return self.engine.with_dials(self.engine.options.dials.model_copy(update=dials))

    def _block(self, engine: Engine[Any], requests: Sequence[Request], settings: Settings) -> list[Answer]:
        users = np.array([-1 if r.user_id is None else self._user_at.get(r.user_id, -1) for r in requests], np.int64)
        past, weights, unknown, n_given = self._past(users, requests, settings)
        allowed, strange = self._named([r.candidates for r in requests])
        if isinstance(engine, Hybrid):
            scores, z = engine.scored(past, weights)
        else:
            scores, z = engine.score(past, users, weights), []
        wishes = {at: self._ask(scores, past, at, r.query) for at, r in enumerate(requests) if r.query.strip()}
        if settings.exclude_seen:
            scores[past.nonzero()] = EXCLUDED
        for at in np.flatnonzero([len(r.candidates) > 0 for r in requests]):
            others = np.ones(scores.shape[1], dtype=bool)
            others[allowed[[at]].indices] = False
            scores[at, others] = EXCLUDED
        scores[self._named([r.exclude for r in requests])[0].nonzero()] = EXCLUDED
        for row, request in enumerate(requests):
            if request.filters:
                scores[row, ~self.known_facts.passing(request.filters)] = EXCLUDED
        if self.removed is not None:
            scores[:, self.removed] = EXCLUDED
        if settings.min_score is not None:
            scores[scores < np.float64(settings.min_score)] = EXCLUDED
        items, values = self._list(scores, past, settings)
        codes = self._codes(engine, past, items, z, wishes)
        n_past = np.diff(past.indptr)
        answers = []
        for row, user in enumerate(users):
            path = "popular" if not n_past[row] else "known_user" if user >= 0 and not n_given[row] else "fold_in"
            filled = items[row] >= 0
            listed, scored = items[row][filled], values[row][filled].astype(float).tolist()
            told = []
            if settings.explain:
                sure = None if weights is None else weights[[row]]
                told = explain_list(self, engine, past[[row]], sure, listed, requests[row].query)
            answers.append(
                Answer(
                    self.item_ids[listed].tolist(),
                    scored,
                    "query" if row in wishes else path,
                    int(unknown[row]),
                    int(strange[row]),
                    codes[row][: len(listed)],
                    told,
                )
            )
        return answers

    def _past(
        self, users: NDArray[np.int64], requests: Sequence[Request], settings: Settings
    ) -> tuple[sparse.csr_matrix, sparse.csr_matrix | None, NDArray[np.int64], NDArray[np.int64]]:
        """Join what is known of users (B,) with what requests tell, which comes later.

        Returns:
            The histories (B, n_items), values in order; confidences of the same cells, None: 1 each; how many items of
            each request the catalogue does not have; how many it has.
        """
        lists = [r.history for r in requests]
        known = sparse.csr_matrix(self.history[np.maximum(users, 0)].multiply((users >= 0)[:, None]))
        known.eliminate_zeros()
        latest = np.zeros(len(users)) if not known.nnz else known.max(axis=1).toarray().ravel()
        given, unknown = self._named(lists, [latest[at] + 1 + np.arange(len(ids)) for at, ids in enumerate(lists)])
        n_given = np.diff(given.indptr)
        past = sparse.csr_matrix(known.maximum(given), dtype=np.float32)
        if settings.half_life is None and not any(len(r.weights) for r in requests):
            return past, None, unknown, n_given
        told, _ = self._named(lists, [_weights(r, settings) for r in requests])
        untold = sparse.csr_matrix(binary(past) - binary(told))
        return past, sparse.csr_matrix(untold + told, dtype=np.float32), unknown, n_given

    @property
    def known_facts(self) -> Facts:
        """The facts.

        Raises:
            BadInputError: this model was packaged without any.
        """
        if self.facts is None:
            raise BadInputError("This model holds no item facts: it cannot filter")
        return self.facts

    def _ask(self, scores: Floats, past: sparse.csr_matrix, at: int, query: str) -> tuple[Wish, Floats]:
        """Blend words into one row of scores, in place; return the wish and what it was worth to every item."""
        wish = self.known_facts.vocabulary.parse(query)
        spans = [wish.text or " ".join(wish.ruled_out), *wish.ruled_out]
        texts = self.encoder.encode(spans)
        close = self.features[:, : texts.shape[1]] @ texts.T
        close = (close - close.mean(axis=0)) / np.maximum(close.std(axis=0), 1e-6)
        worth = close[:, 0] if wish.text else np.zeros(len(close), np.float32)
        if wish.categories:
            share = np.asarray(self.known_facts.member[:, list(wish.categories)].mean(axis=1)).ravel()
            worth = worth + np.float32(_CATEGORY_GAIN) * share.astype(np.float32)
        if wish.ruled_out:
            worth = worth - np.maximum(close[:, 1:], 0).max(axis=1)
        own, n = scores[at], int(past.indptr[at + 1] - past.indptr[at])
        own = (own - own.mean()) / max(float(own.std()), 1e-6)
        scores[at] = worth + np.float32(n / (n + _EVIDENCE) if n else _PRIOR) * own
        if wish.without:
            barred = np.asarray(self.known_facts.member[:, list(wish.without)].sum(axis=1)).ravel() > 0
            scores[at, barred] = EXCLUDED
        return wish, worth

    def _list(self, scores: Floats, past: sparse.csr_matrix, settings: Settings) -> tuple[NDArray[np.int64], Floats]:
        if not settings.diversity:
            return top_k(scores, settings.k, self.tie_rank)
        if self.facts is None or not isinstance(self.engine, Hybrid):
            raise BadInputError("diversity: this model holds no embeddings to tell items apart by")
        items, values = top_k(scores, max(POOL, settings.k), self.tie_rank)
        about = ItemFacts(self.features, self.facts.member, self.engine.tail)
        options = RerankOptions(method="mmr", strength=settings.diversity)
        return rerank(items, values, past, about, options, min(settings.k, items.shape[1]))

    def _codes(
        self,
        engine: Engine[Any],
        past: sparse.csr_matrix,
        items: NDArray[np.int64],
        z: list[Floats],
        wishes: dict[int, tuple[Wish, Floats]],
    ) -> list[list[str]]:
        """Name what carried each listed score most, per row."""
        if not isinstance(engine, Hybrid):
            return [[] for _ in items]
        listed = np.maximum(items, 0)
        parts = weights_of_lists(engine, past, listed) * np.stack([np.take_along_axis(s, listed, 1) for s in z], 2)
        names = np.array([_REASONS[name] for name in SOURCES], dtype=object)[parts.argmax(axis=2)]
        for row, (wish, worth) in wishes.items():
            asked = worth[listed[row]] >= parts[row].max(axis=1)
            named = wish.categories and np.asarray(
                self.known_facts.member[listed[row]][:, list(wish.categories)].sum(1)
            )
            category = np.asarray(named).ravel() > 0 if wish.categories else np.zeros(len(asked), dtype=bool)
            names[row] = np.where(asked, np.where(category, "category", "query"), names[row])
        return [row.tolist() for row in names]

    def _named(
        self, lists: Sequence[Sequence[str]], values: Sequence[Sequence[float]] | None = None
    ) -> tuple[sparse.csr_matrix, NDArray[np.int64]]:
        """Return lists of external ids as rows (B, n_items), 1 or the latest value each, and how many are unknown."""
        rows = np.repeat(np.arange(len(lists)), [len(ids) for ids in lists])
        items = self.places([item for ids in lists for item in ids])
        found, shape = items >= 0, (len(lists), len(self.item_ids))
        strange = np.bincount(rows[~found], minlength=len(lists))
        data = np.ones(len(rows)) if values is None else np.array([value for row in values for value in row])
        rows, items, data = rows[found][::-1], items[found][::-1], data[found][::-1]
        _, latest = np.unique(rows * shape[1] + items, return_index=True)
        cells = (data[latest].astype(np.float32), (rows[latest], items[latest]))
        return sparse.csr_matrix(cells, shape=shape), strange

    def with_items(self, facts: Facts, features: Floats) -> "Recommender":
        """Return a recommender with more items, of which only their text is known; no other item's factors move.

        Args:
            facts: of the items; their ids must be new.
            features: embeddings (a, m).
        """
        n, ids = len(facts.table), facts.table["item_id"].to_numpy(dtype=object)
        wide = np.zeros((n, self.features.shape[1]), np.float32)
        wide[:, : features.shape[1]] = features
        grown = replace(
            self,
            engine=self.engine.extended(wide),
            item_ids=np.concatenate([self.item_ids, ids]),
            history=sparse.csr_matrix(
                (self.history.data, self.history.indices, self.history.indptr),
                shape=(self.history.shape[0], len(self.item_ids) + n),
            ),
            tie_rank=np.append(self.tie_rank, self.tie_rank.max(initial=-1) + 1 + np.arange(n)),
            facts=self.known_facts.joined(facts),
            removed=None if self.removed is None else np.append(self.removed, np.zeros(n, dtype=bool)),
        )
        grown.__dict__["encoder"] = self.encoder
        return grown

    def without_items(self, item_ids: Sequence[str]) -> "Recommender":
        """Return a recommender that lists some items no more; histories may still name them.

        Raises:
            BadInputError: an id is unknown.
        """
        at = self.places(item_ids)
        if (at < 0).any():
            raise BadInputError(f"Unknown items: {', '.join(np.array(item_ids, dtype=object)[at < 0][:5])}")
        removed = np.zeros(len(self.item_ids), dtype=bool) if self.removed is None else self.removed.copy()
        removed[at] = True
        return self._keeping_the_encoder(replace(self, removed=removed))

    def with_texts(self, facts: Facts, features: Floats) -> "Recommender":
        """Return a recommender that knows other texts of items it has; the factors of warm items stay.

        An item without interactions is what its text says: the old one goes, and comes anew.
        """
        at = self.places(facts.table["item_id"].tolist())
        engine: Any = self.engine
        warm = engine.warm[at]
        ids, table = self.item_ids.copy(), self.known_facts.table.copy()
        gone = at[~warm]
        ids[gone] = [f"\x00{row}" for row in gone]
        for name in facts.table:
            column = table[name].to_numpy(copy=True)
            column[at[warm]] = facts.table[name].to_numpy()[warm]
            table[name] = column
        table.loc[gone, "item_id"] = ids[gone]
        wide = self.features[at[warm]].copy()
        wide[:, : features.shape[1]] = features[warm]
        removed = np.zeros(len(ids), dtype=bool) if self.removed is None else self.removed.copy()
        removed[gone] = True
        changed = replace(
            self, engine=engine.with_texts(at[warm], wide), item_ids=ids, facts=Facts(table), removed=removed
        )
        changed = self._keeping_the_encoder(changed)
        return changed.with_items(facts.take(np.flatnonzero(~warm)), features[~warm]) if len(gone) else changed

    def _keeping_the_encoder(self, other: "Recommender") -> "Recommender":
        if "encoder" in self.__dict__:
            other.__dict__["encoder"] = self.__dict__["encoder"]
        return other

    def save(self, folder: Path) -> None:
        """Write everything to ``folder``: safetensors, npz without pickle, parquet, JSON, and a hash of each file."""
        folder.mkdir(parents=True, exist_ok=True)
        save_engines(folder / _MODEL, {"model": self.engine})
        sparse.save_npz(folder / _HISTORY, self.history)
        users, items = self.user_ids.astype(str), self.item_ids.astype(str)
        np.savez(folder / _IDS, users=users, items=items, tie_rank=self.tie_rank)
        (folder / _ABOUT).write_text(json.dumps(self.about, indent=2))
        if self.facts is not None:
            self.facts.save(folder / _FACTS)
        if self.encoder_of is not None:
            self.encoder.save(folder / _ENCODER)
        manifest.write(folder)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what :meth:`save` wrote.

        Raises:
            BadInputError: a file is missing or is not what was written.
        """
        manifest.check(folder)
        with np.load(folder / _IDS, allow_pickle=False) as ids:
            return cls(
                engine=load_engines(folder / _MODEL)["model"],
                user_ids=ids["users"].astype(object),
                item_ids=ids["items"].astype(object),
                history=sparse.csr_matrix(sparse.load_npz(folder / _HISTORY)),
                tie_rank=ids["tie_rank"],
                about=json.loads((folder / _ABOUT).read_text()),
                facts=Facts.load(folder / _FACTS) if (folder / _FACTS).is_file() else None,
                encoder_of=(lambda: load_encoder(folder / _ENCODER)) if (folder / _ENCODER).is_dir() else None,
            )


def _weights(request: Request, settings: Settings) -> Sequence[float]:
    """Return what each item of a history weighs: what the request says, halved every ``half_life`` items back."""
    n = len(request.history)
    given = np.array(request.weights or [1.0] * n, dtype=np.float64)
    if settings.half_life is None:
        return given.tolist()
    return (given * 0.5 ** ((n - 1 - np.arange(n)) / settings.half_life)).tolist()
