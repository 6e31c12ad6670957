"""What is deployed: a fitted scorer, ids, known histories, and what is known of items; no training code."""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, Self, cast

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tailor.data.interactions import binary, cells
from tailor.data.item_metadata import ItemMetadata
from tailor.data.side_features import FeatureEncoder
from tailor.errors import BadInputError, did_you_mean
from tailor.hybrid.blend import SOURCES
from tailor.hybrid.explain import weights_of_lists
from tailor.hybrid.scorer import Hybrid
from tailor.lm.config import EncoderWeights
from tailor.lm.static_encoder import StaticEncoder
from tailor.models.base import Engine, Floats
from tailor.models.ials import IALS
from tailor.models.store import load_engines, load_sparse, save_engines, save_sparse
from tailor.options import RerankOptions
from tailor.rerank.base import ItemFacts, rerank
from tailor.serving import history as histories
from tailor.serving import package as manifest
from tailor.serving.explain import explain_list
from tailor.serving.history import HistoryBatch
from tailor.serving.query import ParsedQuery, parse_query
from tailor.serving.schema import Answer, Request, Settings
from tailor.topk import EXCLUDED, top_k

MAX_REQUESTS = 100_000
#: Candidates that diversity chooses from.
POOL = 200
#: Items from which a catalogue is scanned by codes, and requests of a block up to which that pays.
SCAN_FROM, SCAN_UP_TO = 50_000, 8
#: Standard deviations that an item gains by having all categories a query names; what a history of n items weighs
#: beside a query is n / (n + _EVIDENCE); what popularity weighs where there is a query and no history.
_CATEGORY_GAIN, _EVIDENCE, _PRIOR = 4.0, 5.0, 0.15
_REASONS = dict(
    zip(
        SOURCES,
        (
            "taken_together",
            "similar_text",
            "taken_together",
            "taken_next",
            "similar_text",
            "context",
            "profile",
            "popular",
        ),
        strict=True,
    )
)
_MODEL, _HISTORY, _IDS, _ABOUT = "model.safetensors", "history.safetensors", "ids.npz", "about.json"
_FACTS, _ENCODER, _STUDENT = "facts.parquet", "encoder", "student"
#: "static": words are encoded by the packaged token table, and torch is never imported.
ENCODER_VARIABLE = "TAILOR_ENCODER"


class Encoder(Protocol):
    """From texts to rows of the catalogue's embedding space."""

    def encode(self, texts: list[str]) -> NDArray[np.float32]:
        """Return L2-normalised rows (n, m)."""

    def save(self, folder: Path, weights: EncoderWeights = "bf16") -> None:
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
    metadata: ItemMetadata | None = None
    """Titles, categories, texts, numbers; None: no words, filters or diversity."""
    encoder_of: Callable[[], Encoder] | None = None
    """Makes the encoder when it is first needed."""
    student: StaticEncoder | None = None
    """Token table in the encoder's place, for machines without torch."""
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
        if self.encoder_of is None or self.metadata is None or not isinstance(self.engine, Hybrid):
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
            BadInputError: too many requests, a filter that the catalogue does not have, or boosts, words or diversity
                that the model does not have.
        """
        if len(requests) > MAX_REQUESTS:
            raise BadInputError(f"{len(requests)} requests in one call; send at most {MAX_REQUESTS} at a time")
        requests, settings = self._in_scenario(requests, settings or Settings())
        engine, answers = self._turned(settings.boosts()), list[Answer]()
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
        rows = self.engine.meta_features(
            sparse.csr_matrix(np.zeros((1, len(self.item_ids)), np.float32)), whole=True
        ).items
        scores = ((rows @ rows[at]) / np.float32(2.0))[None]
        scores[0, at] = EXCLUDED
        if self.removed is not None:
            scores[0, self.removed] = EXCLUDED
        items, values = top_k(scores, k, self.tie_rank)
        filled = items[0] >= 0
        return self.item_ids[items[0][filled]].tolist(), values[0][filled].astype(float).tolist()

    def _in_scenario(self, requests: Sequence[Request], settings: Settings) -> tuple[Sequence[Request], Settings]:
        """Fill in from the scenario what is not set; its filters join those of each request."""
        if settings.scenario is None:
            return requests, settings
        known = self.about.get("scenarios", {})
        if settings.scenario not in known:
            raise BadInputError(
                f"Unknown scenario '{settings.scenario}'.{did_you_mean(settings.scenario, known)} "
                f"This model has: {', '.join(known) or 'none'}."
            )
        named = dict(known[settings.scenario])
        filters = named.pop("filters", {})
        unset = {key: value for key, value in named.items() if getattr(settings, key) is None}
        if filters:
            requests = [replace(request, filters={**filters, **request.filters}) for request in requests]
        return requests, replace(settings, **unset)

    def _turned(self, boosts: dict[str, float]) -> Engine[Any]:
        if not boosts:
            return self.engine
        if not isinstance(self.engine, Hybrid):
            raise BadInputError(
                f"{', '.join(boosts)}: a {type(self.engine).__name__} has no boosts, only the hybrid does"
            )
        return self.engine.with_boosts(self.engine.options.boosts.model_copy(update=boosts))

    def _block(self, engine: Engine[Any], requests: Sequence[Request], settings: Settings) -> list[Answer]:
        users = np.array([-1 if r.user_id is None else self._user_at.get(r.user_id, -1) for r in requests], np.int64)
        past = histories.join(self.history, users, requests, settings, self._item_at, engine.reads_order)
        wishes: dict[int, tuple[ParsedQuery, Floats]] = {}
        who = users
        if self._may_scan(engine, requests, settings):
            items, values = self._scanned(engine, past, requests, settings)
            strange, codes = np.zeros(len(requests), dtype=np.int64), [list[str]() for _ in requests]
        else:
            engine, who = self._introduced(engine, users, requests)
            if isinstance(engine, Hybrid):
                scores, z = engine.scored(past.items, who, past.weights)
            else:
                scores, z = engine.score(past.items, users, past.weights), []
            wishes = {
                at: self._ask(scores, past.items, at, r.query) for at, r in enumerate(requests) if r.query.strip()
            }
            strange = self._bar(scores, past.items, requests, settings)
            items, values = self._list(scores, past.items, settings)
            codes = self._codes(engine, past.items, items, z, wishes)
        told_of = self._told(engine, who)
        answers = []
        for row, user in enumerate(users):
            path = "fold_in" if past.lengths[row] else "profile" if told_of[row] else "popular"
            path = "known_user" if user >= 0 and past.lengths[row] and not past.given[row] else path
            filled = items[row] >= 0
            listed, scored = items[row][filled], values[row][filled].astype(float).tolist()
            told = []
            if settings.explain:
                sure = None if past.weights is None else past.weights[[row]]
                told = explain_list(self, engine, past.items[[row]], sure, int(who[row]), listed, requests[row].query)
            answers.append(
                Answer(
                    self.item_ids[listed].tolist(),
                    scored,
                    "query" if row in wishes else path,
                    int(past.unknown[row]),
                    int(strange[row]),
                    codes[row][: len(listed)],
                    told,
                )
            )
        return answers

    def _introduced(
        self, engine: Engine[Any], users: NDArray[np.int64], requests: Sequence[Request]
    ) -> tuple[Engine[Any], NDArray[np.int64]]:
        """Return an engine that knows what requests tell of users and moments, and whom it takes each row for."""
        telling = [at for at, r in enumerate(requests) if r.profile or r.context]
        if not telling:
            return engine, users
        if not isinstance(engine, Hybrid):
            raise BadInputError(f"profile, context: a {type(engine).__name__} reads none, only the hybrid does")
        nothing: dict[str, Any] = {"columns": []}
        spaces = self.about.get("told_space", {"profile": nothing, "context": nothing})
        read = {name: FeatureEncoder.from_state(space) for name, space in spaces.items()}
        profiles = read["profile"].encode_side_features([requests[at].profile for at in telling], "profile")
        stored = [row for row, at in enumerate(telling) if not requests[at].profile]
        profiles[stored] = engine.profiles_of(users[[telling[row] for row in stored]])
        moments = read["context"].encode_side_features([requests[at].context for at in telling], "context")
        who = users.copy()
        who[telling] = -2 - np.arange(len(telling))
        return engine.meeting(profiles, moments), who

    def _told(self, engine: Engine[Any], who: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Mark the rows whose users have a profile."""
        if not isinstance(engine, Hybrid):
            return np.zeros(len(who), dtype=bool)
        return np.asarray(engine.profiles_of(who).any(axis=1))

    def _may_scan(self, engine: Engine[Any], requests: Sequence[Request], settings: Settings) -> bool:
        """Whether a few users' factors are all that the lists depend on, and the catalogue is large."""
        if not isinstance(engine, IALS) or len(self.item_ids) < SCAN_FROM or len(requests) > SCAN_UP_TO:
            return False
        if settings.min_score is not None or settings.diversity or settings.explain or self.removed is not None:
            return False
        return not any(r.query.strip() or r.candidates or r.filters for r in requests)

    def _scanned(
        self, engine: Engine[Any], past: HistoryBatch, requests: Sequence[Request], settings: Settings
    ) -> tuple[NDArray[np.int64], Floats]:
        ials = cast(IALS, engine)
        users = ials.fold_in(binary(past.items) if past.weights is None else past.weights).astype(np.float32)
        items = np.full((len(requests), min(settings.k, len(self.item_ids))), -1, dtype=np.int64)
        values = np.full(items.shape, EXCLUDED)
        for row, request in enumerate(requests):
            barred = self.places(request.exclude)
            barred = barred[barred >= 0]
            if settings.exclude_seen:
                known = past.items.indices[past.items.indptr[row] : past.items.indptr[row + 1]]
                barred = np.append(barred, known)
            items[row], values[row] = ials.scan.top_k(users[row], barred, settings.k, self.tie_rank)
        return items, values

    def _bar(
        self, scores: Floats, past: sparse.csr_matrix, requests: Sequence[Request], settings: Settings
    ) -> NDArray[np.int64]:
        """Bar from the lists what must not be there, in place; return how many candidates are unknown (B,)."""
        if settings.exclude_seen:
            scores[cells(past)] = EXCLUDED
        strange = np.zeros(len(requests), dtype=np.int64)
        for row, request in enumerate(requests):
            if request.candidates:
                allowed, others = self.places(request.candidates), np.ones(scores.shape[1], dtype=bool)
                others[allowed[allowed >= 0]] = False
                strange[row] = int((allowed < 0).sum())
                scores[row, others] = EXCLUDED
            if request.exclude:
                barred = self.places(request.exclude)
                scores[row, barred[barred >= 0]] = EXCLUDED
            if request.filters:
                scores[row, ~self.known_metadata.matching(request.filters)] = EXCLUDED
        if self.removed is not None:
            scores[:, self.removed] = EXCLUDED
        if settings.min_score is not None:
            scores[scores < np.float64(settings.min_score)] = EXCLUDED
        return strange

    @property
    def known_metadata(self) -> ItemMetadata:
        """The metadata.

        Raises:
            BadInputError: this model was packaged without any.
        """
        if self.metadata is None:
            raise BadInputError("This model holds no item metadata: it cannot filter")
        return self.metadata

    def _ask(self, scores: Floats, past: sparse.csr_matrix, at: int, query: str) -> tuple[ParsedQuery, Floats]:
        """Blend words into one row of scores, in place; return the wish and what it was worth to every item."""
        wish = parse_query(query, self.known_metadata.vocabulary)
        spans = [wish.text or " ".join(wish.negated), *wish.negated]
        texts = self.encoder.encode(spans)
        close = self.features[:, : texts.shape[1]] @ texts.T
        close = (close - close.mean(axis=0)) / np.maximum(close.std(axis=0), 1e-6)
        worth = close[:, 0] if wish.text else np.zeros(len(close), np.float32)
        if wish.categories:
            share = np.asarray(self.known_metadata.category_matrix[:, list(wish.categories)].mean(axis=1)).ravel()
            worth = worth + np.float32(_CATEGORY_GAIN) * share.astype(np.float32)
        if wish.negated:
            worth = worth - np.maximum(close[:, 1:], 0).max(axis=1)
        own, n = scores[at], int(past.indptr[at + 1] - past.indptr[at])
        own = (own - own.mean()) / max(float(own.std()), 1e-6)
        scores[at] = worth + np.float32(n / (n + _EVIDENCE) if n else _PRIOR) * own
        if wish.excluded_categories:
            barred = (
                np.asarray(self.known_metadata.category_matrix[:, list(wish.excluded_categories)].sum(axis=1)).ravel()
                > 0
            )
            scores[at, barred] = EXCLUDED
        return wish, worth

    def _list(self, scores: Floats, past: sparse.csr_matrix, settings: Settings) -> tuple[NDArray[np.int64], Floats]:
        if not settings.diversity:
            return top_k(scores, settings.k, self.tie_rank)
        if self.metadata is None or not isinstance(self.engine, Hybrid):
            raise BadInputError("diversity: this model holds no embeddings to tell items apart by")
        items, values = top_k(scores, max(POOL, settings.k), self.tie_rank)
        about = ItemFacts(self.features, self.metadata.category_matrix, self.engine.tail)
        options = RerankOptions(method="mmr", strength=settings.diversity)
        return rerank(items, values, past, about, options, min(settings.k, items.shape[1]))

    def _codes(
        self,
        engine: Engine[Any],
        past: sparse.csr_matrix,
        items: NDArray[np.int64],
        z: list[Floats],
        wishes: dict[int, tuple[ParsedQuery, Floats]],
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
                self.known_metadata.category_matrix[listed[row]][:, list(wish.categories)].sum(1)
            )
            category = np.asarray(named).ravel() > 0 if wish.categories else np.zeros(len(asked), dtype=bool)
            names[row] = np.where(asked, np.where(category, "category", "query"), names[row])
        return [row.tolist() for row in names]

    def with_items(self, metadata: ItemMetadata, features: Floats) -> "Recommender":
        """Return a recommender with more items, of which only their text is known; no other item's factors move.

        Args:
            metadata: of the items; their ids must be new.
            features: embeddings (a, m).
        """
        n, ids = len(metadata.table), metadata.table["item_id"].to_numpy(dtype=object)
        wide = np.zeros((n, self.features.shape[1]), np.float32)
        wide[:, : features.shape[1]] = features
        grown = replace(
            self,
            engine=self.engine.with_new_items(wide),
            item_ids=np.concatenate([self.item_ids, ids]),
            history=sparse.csr_matrix(
                (self.history.data, self.history.indices, self.history.indptr),
                shape=(self.history.shape[0], len(self.item_ids) + n),
            ),
            tie_rank=np.append(self.tie_rank, self.tie_rank.max(initial=-1) + 1 + np.arange(n)),
            metadata=self.known_metadata.concat(metadata),
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
        return self.keeping_the_encoder(replace(self, removed=removed))

    def with_texts(self, metadata: ItemMetadata, features: Floats) -> "Recommender":
        """Return a recommender that knows other texts of items it has; the factors of warm items stay.

        An item without interactions is what its text says: the old one goes, and comes anew.
        """
        at = self.places(metadata.table["item_id"].tolist())
        engine: Any = self.engine
        warm = engine.warm[at]
        ids, table = self.item_ids.copy(), self.known_metadata.table.copy()
        gone = at[~warm]
        ids[gone] = [f"\x00{row}" for row in gone]
        for name in metadata.table:
            column = table[name].to_numpy(copy=True)
            column[at[warm]] = metadata.table[name].to_numpy()[warm]
            table[name] = column
        table.loc[gone, "item_id"] = ids[gone]
        wide = self.features[at[warm]].copy()
        wide[:, : features.shape[1]] = features[warm]
        removed = np.zeros(len(ids), dtype=bool) if self.removed is None else self.removed.copy()
        removed[gone] = True
        changed = replace(
            self, engine=engine.with_texts(at[warm], wide), item_ids=ids, metadata=ItemMetadata(table), removed=removed
        )
        changed = self.keeping_the_encoder(changed)
        return changed.with_items(metadata.take(np.flatnonzero(~warm)), features[~warm]) if len(gone) else changed

    def keeping_the_encoder(self, other: "Recommender") -> "Recommender":
        """Hand an encoder that is loaded already to another recommender; return that."""
        if "encoder" in self.__dict__:
            other.__dict__["encoder"] = self.__dict__["encoder"]
        return other

    def save(self, folder: Path, weights: EncoderWeights = "bf16") -> None:
        """Write everything to ``folder``: safetensors, npz without pickle, parquet, JSON, and a hash of each file."""
        folder.mkdir(parents=True, exist_ok=True)
        save_engines(folder / _MODEL, {"model": self.engine})
        save_sparse(folder / _HISTORY, self.history)
        users, items = self.user_ids.astype(str), self.item_ids.astype(str)
        np.savez(folder / _IDS, users=users, items=items, tie_rank=self.tie_rank)
        (folder / _ABOUT).write_text(json.dumps(self.about, indent=2))
        if self.metadata is not None:
            self.metadata.save(folder / _FACTS)
        if self.encoder_of is not None:
            self.encoder.save(folder / _ENCODER, weights)
        if self.student is not None:
            self.student.save(folder / _STUDENT)
        manifest.write(folder)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what :meth:`save` wrote; large arrays stay on disk until they are read.

        Raises:
            BadInputError: a file is missing or is not what was written; or $TAILOR_ENCODER asks for what is not there.
        """
        manifest.check(folder)
        for name in (_MODEL, _HISTORY, _IDS, _ABOUT):
            if not (folder / name).is_file():
                raise BadInputError(f"The package has no {name}: another version of Tailor wrote it. Register it anew.")
        student = StaticEncoder.load(folder / _STUDENT) if (folder / _STUDENT).is_dir() else None
        with np.load(folder / _IDS, allow_pickle=False) as ids:
            return cls(
                engine=load_engines(folder / _MODEL, mapped=True)["model"],
                user_ids=ids["users"].astype(object),
                item_ids=ids["items"].astype(object),
                history=load_sparse(folder / _HISTORY),
                tie_rank=ids["tie_rank"],
                about=json.loads((folder / _ABOUT).read_text()),
                metadata=ItemMetadata.load(folder / _FACTS) if (folder / _FACTS).is_file() else None,
                encoder_of=_encoder_of(folder, student),
                student=student,
            )


def _encoder_of(folder: Path, student: StaticEncoder | None) -> Callable[[], Encoder] | None:
    wanted = os.environ.get(ENCODER_VARIABLE, "tuned")
    if wanted == "static" and student is not None:
        return lambda: student
    if wanted != "tuned":
        raise BadInputError(
            f"{ENCODER_VARIABLE}={wanted}: known are tuned and static"
            + ("; this model was packaged without a token table" if wanted == "static" else "")
        )
    return (lambda: load_encoder(folder / _ENCODER)) if (folder / _ENCODER).is_dir() else None
