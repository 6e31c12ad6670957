"""What is deployed: a fitted model, ids, known histories, and what is known of items; no training code."""

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Protocol, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tailor import columns as c
from tailor.appending import append
from tailor.config import parse
from tailor.data.config import UserTextOptions
from tailor.data.ids import IdMap
from tailor.data.interactions import cells
from tailor.data.item_dates import EXPIRES, RELEASED, expired
from tailor.data.item_metadata import ItemMetadata
from tailor.data.item_times import ItemTimes
from tailor.data.item_vectors import ItemParts
from tailor.data.people import ALL_PEOPLE, People
from tailor.data.side_features import FeatureColumn, FeatureEncoder
from tailor.errors import BadInputError, did_you_mean
from tailor.hybrid.elicit import choose_items
from tailor.hybrid.scorer import HybridScorer
from tailor.lm.config import EncoderWeights
from tailor.lm.static_encoder import StaticEncoder
from tailor.models.base import (
    AcceptsNewItems,
    BlendsSources,
    Boostable,
    ComparesItems,
    Csr,
    FittedModel,
    Floats,
    Indices,
    Query,
    ReadsTexts,
)
from tailor.plugins import copy_plugins
from tailor.rerank import POOL, best_of, draw_lists, ensure_exposure, rerank
from tailor.serving import package
from tailor.serving.events import EVENTS, EventLog, EventOptions, behind_events
from tailor.serving.explain import explain_list
from tailor.serving.history import HistoryBatch, join_histories, wide, widened
from tailor.serving.intent import Intent, TitleIndex, parse_query
from tailor.serving.intent.dates import NumericColumns
from tailor.serving.intent.meaning import Meaning
from tailor.serving.ranking import newness, trending
from tailor.serving.reasons import Carried
from tailor.serving.rules import Block, pin
from tailor.serving.scenario import apply_scenario, resolved
from tailor.serving.schema import BOOSTS, Answer, Request, Settings
from tailor.serving.strengths import STRENGTHS, with_strengths
from tailor.serving.word_reader import WordReader
from tailor.serving.words import EncodesTexts, ReadsDomains, WordScores, in_categories, score_words
from tailor.threads import blocks
from tailor.topk import EXCLUDED, top_k
from tailor.types import JsonObject

MAX_REQUESTS = 100_000
MAX_QUESTIONS = 100
#: Key of ``about``: pieces of a long text of a user that are read.
MAX_PIECES = "max_pieces"
#: Key of ``about``: which columns of items hold dates.
DATES = "dates"
#: Key of ``about``: the mean of each column of vectors, by name.
VECTORS = "vectors"


class LongTextEncoder(EncodesTexts, Protocol):
    """An encoder that reads texts of any length."""

    def encode_long(self, texts: list[str], max_pieces: int) -> Floats:
        """Return L2-normalised rows (n, m), each the mean of its text's pieces."""
        ...


class Encoder(EncodesTexts, Protocol):
    """An encoder that can be packaged."""

    def save(self, folder: Path, weights: EncoderWeights = "bf16") -> None:
        """Write a folder."""
        ...


@dataclass
class Recommender:
    """Answers requests in blocks; a user is always one fold-in of the history, so batch and single agree."""

    model: FittedModel
    users: IdMap
    items: IdMap
    histories: Query
    """What is known of every user, profiles included."""
    tie_rank: NDArray[np.int64]
    about: JsonObject = field(default_factory=dict)
    """Tags: seed, fit_on, hashes; scenarios; how profiles and contexts are encoded; how texts are written."""
    metadata: ItemMetadata | None = None
    """Titles, categories, texts, numbers; None: no words, filters or re-ranking."""
    encoder_of: Callable[[], Encoder] | None = None
    """Makes the encoder when it is first needed."""
    no_encoder: str = ""
    """Why words are refused although the model was packaged with an encoder."""
    student: StaticEncoder | None = None
    """Token table in the encoder's place, for machines without torch."""
    removed: NDArray[np.bool_] | None = None
    """Items that must not be listed any more (n_items,)."""
    events: EventLog | None = None
    """What users did since the fit, looked up at every request; None: nothing is known of that."""
    item_times: ItemTimes | None = None
    """When items were taken; None: their times are not known."""
    blocked: Csr | None = None
    """Pairs of users and items that must not be listed, 0/1 (U, n_items); None: there are none."""
    word_reader: WordReader | None = None
    """The base model, or another encoder, for the words of requests, with the items in its space; None: the model's own
    encoder reads them."""
    people: People = ALL_PEOPLE
    """Who asked to be forgotten, and under which names the others are known."""
    folder: Path | None = None
    """Of the package that it was loaded from; what was put, removed or forgotten since is not in it."""

    # --- what it holds -----------------------------------------------------------------------------------------------

    @property
    def user_ids(self) -> NDArray[np.object_]:
        """External ids of the users, in the order of the histories."""
        return self.users.ids

    @property
    def item_ids(self) -> NDArray[np.object_]:
        """External ids of the items, in the order of the scores."""
        return self.items.ids

    def item_indices(self, item_ids: Sequence[str]) -> Indices:
        """Return the internal ids of external ones, -1 where unknown."""
        return self.items.indices(item_ids)

    @cached_property
    def encoder(self) -> Encoder:
        """The query and item encoder.

        Raises:
            BadInputError: this model was packaged without one, or what it needs is not installed.
        """
        if self.no_encoder:
            raise BadInputError(self.no_encoder)
        if self.encoder_of is None or self.metadata is None or not isinstance(self.model, ReadsTexts):
            raise BadInputError("This model holds no text encoder: it cannot take words")
        return self.encoder_of()

    @property
    def takes_words(self) -> bool:
        """Whether requests may hold words: there is an encoder for them, and what it needs is installed."""
        if self.word_reader is not None:
            return not self.word_reader.refused
        return self.encoder_of is not None and not self.no_encoder

    @property
    def word_encoder(self) -> EncodesTexts:
        """The encoder of the words of requests: the base model, another one, or the model's own.

        Raises:
            BadInputError: see :attr:`encoder`.
        """
        return self.encoder if self.word_reader is None else self.word_reader.encoder

    def _word_encoder_of(self, domain: str | None) -> EncodesTexts:
        """Return the encoder of the words of a request for a domain: where the model's own reads them, the domain's."""
        if self.word_reader is not None or domain is None or not isinstance(self.encoder, ReadsDomains):
            return self.word_encoder
        return self.encoder.of_domain(domain)

    def encode_items(self, texts: Sequence[str], domains: Sequence[str] = ()) -> Floats:
        """Return embeddings (a, m) of the texts of items (a,), each read as those of its domain are.

        Args:
            texts: of items.
            domains: of the items (a,); empty: the model has one.

        Raises:
            BadInputError: see :attr:`encoder`.
        """
        encoder, parts = self.encoder, dict[str, Floats]()
        if not domains or not isinstance(encoder, ReadsDomains) or not encoder.domains:
            return encoder.encode(list(texts))
        rows = {name: np.flatnonzero(np.array(domains) == name) for name in dict.fromkeys(domains)}
        for name, of_domain in rows.items():
            parts[name] = encoder.of_domain(name).encode([texts[row] for row in of_domain.tolist()])
        order = np.argsort(np.concatenate(list(rows.values())))
        return np.concatenate(list(parts.values()))[order]

    def domains_of(self, items: Indices) -> list[str]:
        """Return the domains of items (a,) by internal id; empty where the model has one."""
        numbers = getattr(self.model, "domains", None)
        return [] if numbers is None else np.array([*self.domains, ""])[numbers[items]].tolist()

    @property
    def word_features(self) -> Floats:
        """Embeddings of the items (n_items, m) in the space of :attr:`word_encoder`."""
        return self._text_features if self.word_reader is None else self.word_reader.features

    @cached_property
    def parts(self) -> ItemParts:
        """What embeddings of items are made of: texts, and vectors of other kinds where items have some."""
        centres: dict[str, list[float]] = self.about.get(VECTORS, {})
        return ItemParts.of(self.item_features.shape[1] if centres else 0, centres)

    @cached_property
    def _text_features(self) -> Floats:
        """Embeddings of the texts alone: words find an item alike, with a picture or without."""
        return self.parts.of_texts(self.item_features)

    @cached_property
    def meaning(self) -> Meaning:
        """Tells which categories a free text is about: by another encoder for words, else by the base model."""
        metadata = self.known_metadata
        names, descriptions = metadata.vocabulary.names, metadata.descriptions
        reader = self.word_reader
        if reader is not None and not reader.is_base:
            return Meaning.of_other(reader.encoder, names, descriptions, self.word_features)
        base = reader.encoder if reader is not None else self._base_encoder or self.encoder
        return Meaning.of(base, names, descriptions, self._nearest_item)

    @cached_property
    def _base_encoder(self) -> LongTextEncoder | None:
        """The base model as it was before the adapter; None where the encoder is a token table."""
        base = getattr(self.encoder, "base", None)
        return base() if base else None

    def _nearest_item(self, texts: list[str]) -> Floats:
        """Return how near the nearest item is to each text (n,)."""
        rows = self.word_encoder.encode(texts)
        return np.asarray((rows @ self.word_features[:, : rows.shape[1]].T).max(axis=1), dtype=np.float32)

    @cached_property
    def titles(self) -> TitleIndex:
        """Finds items by titles that stand in a text."""
        metadata = self.known_metadata
        year = self._numeric_columns.year
        return TitleIndex(metadata.titles, self.popularity, [] if year is None else metadata.table[year].tolist())

    @cached_property
    def _numeric_columns(self) -> NumericColumns:
        names = [name for name in self.known_metadata.numeric_columns if name not in (RELEASED, EXPIRES)]
        return NumericColumns.of(self.known_metadata.table, names)

    @property
    def reads_user_texts(self) -> bool:
        """Whether it was fitted on what users wrote, and can read more of it."""
        return bool(self.histories.user_text.shape[1]) and self.encoder_of is not None and not self.no_encoder

    @property
    def item_features(self) -> Floats:
        """Embeddings of the items (n_items, m).

        Raises:
            BadInputError: the model knows no texts.
        """
        if not isinstance(self.model, ReadsTexts):
            raise BadInputError(f"The model '{self.model.recipe.name}' holds no embeddings of texts")
        return self.model.item_features

    @property
    def known_metadata(self) -> ItemMetadata:
        """What is known of items.

        Raises:
            BadInputError: this model was packaged without it.
        """
        if self.metadata is None:
            raise BadInputError("This model holds no item metadata: it cannot filter")
        return self.metadata

    @cached_property
    def _feature_encoders(self) -> dict[str, FeatureEncoder]:
        states: JsonObject = self.about.get("feature_encoders", {})
        none: JsonObject = {"columns": []}
        return {name: FeatureEncoder.from_state(states.get(name, none)) for name in ("profile", "context")}

    @cached_property
    def _rerank_metadata(self) -> ItemMetadata:
        """What re-rankers look at."""
        vectors, bucket = self.item_features, self._buckets()
        return self.known_metadata.with_arrays(vectors=vectors, n_train=self.popularity, bucket=bucket)

    def _buckets(self) -> NDArray[np.str_]:
        tail = getattr(self.model, "tail", np.zeros(len(self.items), dtype=bool))
        return np.where(tail, "tail", "other")

    @property
    def operating_point(self) -> dict[str, float]:
        """The model's boosts, which hold where a request sets none; empty where the model has no boosts."""
        if not isinstance(self.model, HybridScorer):
            return {}
        return {name: float(getattr(self.model.boosts, name)) for name in sorted(BOOSTS)}

    @property
    def operating_points(self) -> dict[str, dict[str, float]]:
        """The boosts that hold for the items of each domain; empty where all domains have the same ones."""
        if not isinstance(self.model, HybridScorer) or not self.model.boosts.by_domain:
            return {}
        rows = zip(self.domains, self.model.boosts.by_domain, strict=True)
        return {name: self.operating_point | row.model_dump() for name, row in rows}

    def operating_point_of(self, item: int) -> dict[str, float]:
        """Return the boosts that hold for an item, by internal id."""
        numbers = getattr(self.model, "domains", None)
        points = [*self.operating_points.values(), self.operating_point]
        return points[-1 if numbers is None or len(points) == 1 else numbers[item]]

    @cached_property
    def scenarios(self) -> dict[str, JsonObject]:
        """What each scenario sets, its boosts as they are from the operating point on."""
        start = {} if self.about.get(package.ABSOLUTE_SCENARIOS) else self.operating_point
        return {name: resolved(values, start) for name, values in self.about.get("scenarios", {}).items()}

    @property
    def gone(self) -> NDArray[np.bool_]:
        """Items that must not be listed: they were removed, or have expired (n_items,)."""
        gone = np.zeros(len(self.items), dtype=bool) if self.removed is None else self.removed.copy()
        if self.metadata is not None and EXPIRES in self.metadata.table:
            gone |= expired(self.metadata.table[EXPIRES].to_numpy())
        return gone

    def unlisted(self, scenario: str | None = None) -> NDArray[np.bool_]:
        """Mark the items that nobody is shown (n_items,): those that are gone, and those that a scenario blocks.

        Args:
            scenario: whose block rule holds; None: none.

        Raises:
            BadInputError: the model has no such scenario.
        """
        (request,), _ = apply_scenario([Request()], Settings(scenario=scenario), self.scenarios)
        return self.gone if request.block is None else self.gone | self._blocked_by(request.block)

    @cached_property
    def popularity(self) -> Indices:
        """Histories that hold each item (n_items,)."""
        return np.bincount(self.histories.history.indices, minlength=len(self.items)).astype(np.int64)

    @cached_property
    def questions(self) -> Indices:
        """Items to ask a new visitor about (at most ``MAX_QUESTIONS``,), the most telling first."""
        askable = getattr(self.model, "warm", np.ones(len(self.items), dtype=bool)) & ~self.gone
        return choose_items(self.histories.history, askable, MAX_QUESTIONS)

    @cached_property
    def event_options(self) -> EventOptions:
        """How events are read."""
        return parse(EventOptions, self.about.get(EVENTS, {}), EVENTS)

    @property
    def domains(self) -> list[str]:
        """Names of the catalogues that are joined in this model, in the order of their numbers; empty: it has one."""
        return list(self.about.get(package.DOMAINS, []))

    @property
    def item_domains(self) -> pd.DataFrame:
        """Ids of the items, with their domains where there are several."""
        table = pd.DataFrame({c.ITEM: self.item_ids})
        numbers = getattr(self.model, "domains", None)
        return table if numbers is None else table.assign(**{c.DOMAIN: np.array([*self.domains, ""])[numbers]})

    def of_domain(self, name: str) -> NDArray[np.bool_]:
        """Mark the items of a domain (n_items,).

        Raises:
            BadInputError: the model has no such domain.
        """
        numbers = getattr(self.model, "domains", None)
        if numbers is None or name not in self.domains:
            raise BadInputError(
                f"Unknown domain '{name}'.{did_you_mean(name, self.domains)} This model has: "
                f"{', '.join(self.domains) or 'one catalogue, so leave the domain out'}."
            )
        return np.asarray(numbers == self.domains.index(name))

    def side_feature_columns(self, field: str) -> Sequence[FeatureColumn]:
        """Return the columns of ``profile`` or ``context``."""
        return self._feature_encoders[field].columns

    # --- answers -----------------------------------------------------------------------------------------------------

    def recommend(
        self, requests: Sequence[Request], settings: Settings | None = None, block_users: int = 512
    ) -> list[Answer]:
        """Answer requests, each with at most k items, cold ones included.

        Raises:
            BadInputError: too many requests, a filter that the catalogue does not have, or boosts, words or re-ranking
                that the model does not have.

        Example:
            >>> recommender.recommend([Request(history=["i3", "i7"])], Settings(k=5))[0].item_ids  # doctest: +SKIP
            ['i11', 'i15', 'i19', 'i23', 'i27']
        """
        if len(requests) > MAX_REQUESTS:
            raise BadInputError(f"{len(requests)} requests in one call; send at most {MAX_REQUESTS} at a time")
        requests = with_strengths(requests, self.about.get(STRENGTHS, {}))
        asked = settings or Settings()
        requests, settings = apply_scenario(requests, asked, self.scenarios)
        model, answers = self._boosted(settings.boosts(), self._steps_of_domains(asked)), list[Answer]()
        for block in blocks(len(requests), block_users):
            answers += self._answer(model, requests[block], settings)
        return answers

    def scored_block(
        self, requests: Sequence[Request], settings: Settings
    ) -> tuple[FittedModel, Query, Floats, list[Floats]]:
        """Score a block as its lists are chosen, words, re-ranking and pins aside.

        Returns:
            the model under the boosts of the settings; what is known of who asks; scores (B, n_items), minus infinity
            where an item must not be listed; and the standardised scores of the sources, where there are any.
        """
        model = self._boosted(settings.boosts())
        joined, n_events = self._with_events(requests, settings)
        query = self._read(joined, settings).with_events(n_events).query
        scores, z = self._scored(model, query, settings)
        self._exclude(scores, query, joined, settings)
        return model, query, scores, z

    def _steps_of_domains(self, asked: Settings) -> dict[str, float]:
        """Return the boosts that a call takes from its scenario, as steps, where domains have points of their own."""
        if not self.operating_points or asked.scenario is None:
            return {}
        values, is_set = self.about["scenarios"][asked.scenario], asked.boosts()
        return {name: values[name] for name in sorted(BOOSTS & values.keys()) if name not in is_set}

    def _boosted(self, boosts: dict[str, float], steps: Mapping[str, float] | None = None) -> FittedModel:
        """Return the model at boosts that hold in every domain; ``steps`` go from where each domain stands."""
        if steps and isinstance(self.model, HybridScorer):
            moved = self.model.with_boosts(self.model.boosts.moved(steps))
            return moved.boosted({name: value for name, value in boosts.items() if name not in steps})
        if not boosts:
            return self.model
        if not isinstance(self.model, Boostable):
            name = self.model.recipe.name
            raise BadInputError(f"{', '.join(boosts)}: the model '{name}' has no boosts, only the hybrid does")
        return self.model.boosted(boosts)

    def _answer(self, model: FittedModel, requests: Sequence[Request], settings: Settings) -> list[Answer]:
        """Answer a block: read words and histories, score, apply words and filters, rank."""
        intents = {row: self.parse(request.query) for row, request in enumerate(requests) if request.query.strip()}
        requests, n_events = self._with_events(requests, settings)
        requests = [self._with_examples(request, intents.get(row)) for row, request in enumerate(requests)]
        batch = self._read(requests, settings).with_events(n_events)
        scores, z = self._scored(model, batch.query, settings)
        deviations = np.maximum(scores.std(axis=1), np.float32(1e-6))
        highest = {row: float((scores[row].max() - scores[row].mean()) / deviations[row]) for row in intents}
        words = self._apply_words(scores, batch, intents, requests)
        read = {row: of_row for row, of_row in words.items() if of_row.understood}
        shares = {row: of_row.share(int(batch.query.lengths[row]), highest[row]) for row, of_row in read.items()}
        n_unknown = self._exclude(scores, batch.query, requests, settings)
        request_ids = [_named(request, settings) for request in requests]
        items, values, propensities = self._list(scores, batch.query, request_ids, settings)
        self._pin(scores, items, values, requests, settings)
        probabilities = self._probabilities(model, batch.query, items) if settings.probability else None
        beside = {row: share / float(deviations[row]) for row, share in shares.items()}
        carried = Carried.of(model, batch.query, items, z, beside)
        return [
            Answer(
                item_ids=self.items.ids[listed].tolist(),
                scores=values[row, : len(listed)].astype(float).tolist(),
                path=self._path(row, words, carried.path(row, batch.path(row)), settings),
                understood=self._understood(words[row]) if row in words else {},
                unknown_history=int(batch.n_unknown[row]),
                unknown_candidates=int(n_unknown[row]),
                reasons=self._reasons(carried, row, listed, read.get(row)),
                request_id=request_ids[row],
                propensities=propensities[row, : len(listed)].tolist(),
                probabilities=[] if probabilities is None else probabilities[row, : len(listed)].tolist(),
                explanations=self._explain(model, batch, row, listed, values[row], words.get(row), shares.get(row))
                if settings.explain and settings.rank_by == "score"
                else [],
            )
            for row, listed in enumerate(chosen[chosen >= 0] for chosen in items)
        ]

    def _scored(self, model: FittedModel, query: Query, settings: Settings) -> tuple[Floats, list[Floats]]:
        """Return scores (B, n_items), and those of the sources where they are blended; the same for all by a ranking.

        Raises:
            BadInputError: nothing is known of times.
        """
        if settings.rank_by == "score":
            return model.scored(query) if isinstance(model, BlendsSources) else (model.score(query), [])
        of_items = trending(self, settings.window_days) if settings.rank_by == "trending" else newness(self)
        return np.tile(of_items.astype(np.float32), (len(query), 1)), []

    def _explain(
        self,
        model: FittedModel,
        batch: HistoryBatch,
        row: int,
        listed: Indices,
        scores: Floats,
        words: WordScores | None,
        share: float | None,
    ) -> list[JsonObject]:
        query = batch.query.take(np.array([row]))
        return explain_list(self, model, query, listed, scores[: len(listed)], words, share)

    def _read(self, requests: Sequence[Request], settings: Settings) -> HistoryBatch:
        """Look up users, and encode what requests say of user and moment."""
        users = np.array([self.people.row(self.users, request.user_id) for request in requests], dtype=np.int64)
        profile = np.where((users >= 0)[:, None], self.histories.profile[np.maximum(users, 0)], np.float32(0))
        with_profile = np.flatnonzero([bool(request.profile) for request in requests])
        if len(with_profile):
            encoder = self._feature_encoders["profile"]
            profile[with_profile] = encoder.transform_requests(
                [request.profile for request in requests if request.profile], "profile"
            )
        context = np.zeros((len(requests), self._feature_encoders["context"].width), np.float32)
        if any(request.context for request in requests):
            encoder = self._feature_encoders["context"]
            context = encoder.transform_requests([request.context for request in requests], "context")
        user_text = self._read_user_text(users, requests)
        return join_histories(self.histories, users, requests, settings, self.items, profile, context, user_text)

    def _read_user_text(self, users: Indices, requests: Sequence[Request]) -> Floats:
        """Return the sums of what is stored of users and what requests say that they wrote (B, t)."""
        known = self.histories.user_text
        user_text = np.where((users >= 0)[:, None], known[np.maximum(users, 0)], np.float32(0))
        rows = [row for row, request in enumerate(requests) for _ in request.user_text]
        if not rows:
            return user_text
        if not known.shape[1]:
            raise BadInputError(
                "user_text: this model was fitted on no texts of users, so they tell it nothing. Leave it out; what is "
                "looked for now goes into query."
            )
        if self._base_encoder is None:
            raise BadInputError("user_text: the token table reads no texts of users. " + package.INSTALL_ENCODER + ".")
        texts = [text for request in requests for text in request.user_text]
        vectors = self._base_encoder.encode_long(texts, int(self.about.get(MAX_PIECES, UserTextOptions().max_pieces)))
        np.add.at(user_text[:, : vectors.shape[1]], rows, vectors)
        return user_text

    def parse(self, words: str) -> Intent:
        """Read the words of a request."""
        metadata = self.known_metadata
        return parse_query(words, metadata.vocabulary, self.titles, self._numeric_columns, metadata.keywords)

    def _with_events(self, requests: Sequence[Request], settings: Settings) -> tuple[list[Request], Indices]:
        """Return requests behind what their users did since the fit, and how many items that brought (B,)."""
        joined = behind_events(self, requests, exclude_seen=settings.exclude_seen)
        return [request for request, _ in joined], np.array([n for _, n in joined], dtype=np.int64)

    def _with_examples(self, request: Request, intent: Intent | None) -> Request:
        """Return a request with the titles that its words name as examples behind its history."""
        named = [] if intent is None else [str(item) for item in self.items.ids[list(intent.like)]]
        added = [item for item in named if item not in request.history]
        if not added:
            return request
        weights = (*request.weights, *(1.0 for _ in added)) if request.weights else ()
        return request.model_copy(update={"history": (*request.history, *added), "weights": weights})

    def _apply_words(
        self, scores: Floats, batch: HistoryBatch, intents: dict[int, Intent], requests: Sequence[Request]
    ) -> dict[int, WordScores]:
        """Blend the words of requests into their rows of scores, in place; what was not understood changes nothing."""
        words = {}
        for row, intent in intents.items():
            metadata, encoder = self.known_metadata, self._word_encoder_of(requests[row].domain)
            words[row] = score_words(
                intent, encoder, self.word_features, metadata, self.meaning, self._alike(intent.like)
            )
            if words[row].understood:
                scores[row] = words[row].blended(scores[row], int(batch.query.lengths[row]))
                scores[row, words[row].excluded] = EXCLUDED
        return words

    def _alike(self, items: Sequence[int]) -> Floats | None:
        """Return how near every item is to some, on average (n_items,); None where the model compares none."""
        if not items or not isinstance(self.model, ComparesItems):
            return None
        return np.asarray(np.mean([self.model.similarities(item) for item in items], axis=0), dtype=np.float32)

    def _understood(self, words: WordScores) -> JsonObject:
        """Say what was read out of a request's words; empty where nothing was."""
        intent, names, titles = words.parsed, self.known_metadata.vocabulary.names, self.known_metadata.titles
        if not words.understood:
            return {}
        excluding = {word for phrase in words.excluded_phrases for word in phrase.split()}
        return {
            "wanted": [names[category] for category in intent.categories],
            "about": [names[category] for category in words.about],
            "excluded_categories": [names[category] for category in intent.excluded_categories],
            "softer": [*(names[category] for category in intent.softer_categories), *intent.softened],
            "excluded_phrases": list(words.excluded_phrases),
            "negated": [phrase for phrase in intent.negated if not set(phrase.split()) <= excluding],
            "like": [{"item_id": str(self.items.ids[item]), "title": titles[item]} for item in intent.like],
            "filters": intent.filters,
            "text": intent.text if words.text_counts else "",
        }

    def _exclude(self, scores: Floats, query: Query, requests: Sequence[Request], settings: Settings) -> Indices:
        """Exclude from the lists what must not be there, in place; return how many candidates are unknown (B,)."""
        if settings.exclude_seen:
            scores[cells(query.history)] = EXCLUDED
        if self.blocked is not None:
            known = np.flatnonzero(query.user_index >= 0)
            rows, items = cells(self.blocked[query.user_index[known]])
            scores[known[rows], items] = EXCLUDED
        n_unknown = np.zeros(len(requests), dtype=np.int64)
        for row, request in enumerate(requests):
            if request.candidates:
                n_unknown[row] = self._keep_candidates(scores[row], request.candidates)
            if request.domain is not None:
                scores[row, ~self.of_domain(request.domain)] = EXCLUDED
            if request.exclude:
                excluded = self.item_indices(request.exclude)
                scores[row, excluded[excluded >= 0]] = EXCLUDED
            if request.block is not None:
                scores[row, self._blocked_by(request.block)] = EXCLUDED
            if request.filters:
                scores[row, ~self.known_metadata.matching(request.filters)] = EXCLUDED
        scores[:, self.gone] = EXCLUDED
        if settings.min_score is not None:
            scores[scores < np.float64(settings.min_score)] = EXCLUDED
        return n_unknown

    def _blocked_by(self, block: Block) -> NDArray[np.bool_]:
        """Mark what a rule blocks (n_items,)."""
        blocked, rows = np.zeros(len(self.items), dtype=bool), self.item_indices(block.item_ids)
        blocked[rows[rows >= 0]] = True
        if block.categories:
            blocked |= self.known_metadata.matching({"categories": block.categories})
        return blocked

    def _pin(
        self, scores: Floats, items: Indices, values: Floats, requests: Sequence[Request], settings: Settings
    ) -> None:
        """Put pinned items at their ranks, in place.

        Raises:
            BadInputError: the lists were drawn.
        """
        for row, request in enumerate(requests):
            pins = [each for each in request.pins if each.is_for({**request.profile, **request.context})]
            if pins and settings.explore:
                raise BadInputError("explore: a list with pins is not drawn; leave the pins out, or set explore to 0")
            if pins:
                ranks = [(self.items.index(each.item_id), each.rank) for each in pins]
                items[row], values[row] = pin(items[row], values[row], scores[row], ranks)

    def _keep_candidates(self, scores: Floats, candidates: Sequence[str]) -> int:
        """Exclude all but some items from one row, in place; return how many of them are unknown."""
        allowed, others = self.item_indices(candidates), np.ones(len(scores), dtype=bool)
        others[allowed[allowed >= 0]] = False
        scores[others] = EXCLUDED
        return int((allowed < 0).sum())

    def _list(
        self, scores: Floats, query: Query, request_ids: Sequence[str], settings: Settings
    ) -> tuple[Indices, Floats, NDArray[np.float64]]:
        """Return lists (B, k), their scores, and of lists that are drawn the chances of their steps, else (B, 0)."""
        if settings.explore:
            pool, values = top_k(scores, max(POOL, settings.k), self.tie_rank)
            return draw_lists(pool, values, settings.explore, request_ids, min(settings.k, pool.shape[1]))
        items, values = self._keep_places(scores, *self._rank(scores, query, settings), settings)
        return items, values, np.zeros((len(items), 0))

    def _probabilities(self, model: FittedModel, query: Query, items: Indices) -> NDArray[np.float64]:
        """Return the chance (B, k) that each listed item is taken up within one validation window.

        Raises:
            BadInputError: the model has no click head.
        """
        if not isinstance(model, HybridScorer) or model.click is None:
            raise BadInputError(f"probability: the model '{model.recipe.name}' has no click head; leave it out")
        return np.asarray(np.take_along_axis(model.click_probability(query), np.maximum(items, 0), axis=1))

    def _rank(self, scores: Floats, query: Query, settings: Settings) -> tuple[Indices, Floats]:
        options = settings.rerank.options() if settings.rerank else None
        if options is None:
            return top_k(scores, settings.k, self.tie_rank)
        if self.metadata is None or not isinstance(self.model, ReadsTexts):
            raise BadInputError("rerank: this model holds no embeddings to tell items apart by")
        items, values = top_k(scores, max(options.pool, settings.k), self.tie_rank)
        k = min(settings.k, items.shape[1])
        return rerank(items, values, query.history, self._rerank_metadata, options, k)

    def _keep_places(
        self, scores: Floats, items: Indices, values: Floats, settings: Settings
    ) -> tuple[Indices, Floats]:
        """Return lists that hold the new and tail items that the settings ask for.

        Raises:
            BadInputError: the model does not tell such items from others.
        """
        if settings.min_exposure is None:
            return items, values
        if not isinstance(self.model, HybridScorer):
            raise BadInputError(f"min_exposure: the model '{self.model.recipe.name}' knows no new and no tail items")
        members = self.model.exposure_classes
        minimum = settings.min_exposure.of_length(settings.k)
        best = {name: best_of(scores, of_class, minimum[name], self.tie_rank) for name, of_class in members.items()}
        return ensure_exposure(items, values, members, best, minimum)

    def _reasons(self, carried: Carried, row: int, listed: Indices, words: WordScores | None) -> list[str]:
        """Name what carried each listed score most."""
        if not carried.sources:
            return []
        names = carried.reasons(row)[: len(listed)]
        if words is not None:
            by_words = words.query_score[listed] >= carried.parts[row, : len(listed)].max(axis=1)
            of_category = in_categories(self.known_metadata, words.parsed.categories)[listed]
            names = np.where(by_words, np.where(of_category, "category", "query"), names)
        listed_names: list[str] = names.tolist()
        return listed_names

    def _path(self, row: int, words: dict[int, WordScores], without_words: str, settings: Settings) -> str:
        if row not in words:
            return without_words if settings.rank_by == "score" else settings.rank_by
        return "query" if words[row].understood else "not_understood"

    def similar(self, item_id: str, k: int = 20, scenario: str | None = None) -> tuple[list[str], list[float]]:
        """Return the k items closest to one, and how close they are.

        What is listed to nobody is left out; it may be asked for itself, as a page of it may still be open.

        Args:
            item_id: of a known item.
            k: length of the list.
            scenario: whose block rule holds; None: none.

        Raises:
            BadInputError: the item or the scenario is unknown, or the model does not compare items.
        """
        item = self.items.index(item_id)
        if item < 0:
            raise BadInputError(f"Unknown item '{item_id}'")
        if not isinstance(self.model, ComparesItems):
            raise BadInputError(f"The model '{self.model.recipe.name}' has no factors and texts to compare items by")
        scores = self.model.similarities(item)[None]
        scores[0, item] = EXCLUDED
        scores[:, self.unlisted(scenario)] = EXCLUDED
        items, values = top_k(scores, k, self.tie_rank)
        filled = items[0] >= 0
        return self.items.ids[items[0][filled]].tolist(), values[0][filled].astype(float).tolist()

    # --- items that come, change and go ------------------------------------------------------------------------------

    def with_new_items(self, metadata: ItemMetadata, features: Floats) -> "Recommender":
        """Return a recommender with more items, of which only their text is known; no other item's factors move.

        Args:
            metadata: of the items; their ids must be new.
            features: embeddings (a, m), of whole items or of their texts.

        Raises:
            BadInputError: the model cannot take items in.
        """
        if not isinstance(self.model, AcceptsNewItems):
            raise BadInputError(f"The model '{self.model.recipe.name}' cannot take items in without a new fit")
        items = self.items.extend(metadata.table["item_id"])
        n_new = len(items) - len(self.items)
        grown = replace(
            self,
            model=self._in_domains(self.model.with_new_items(self._wide(features, metadata)), metadata),
            items=items,
            histories=widened(self.histories, len(items)),
            blocked=wide(self.blocked, len(items)),
            tie_rank=append(self.tie_rank, self.tie_rank.max(initial=-1) + 1 + np.arange(n_new)),
            metadata=self.known_metadata.concat(metadata),
            word_reader=None if self.word_reader is None else self.word_reader.with_new_items(metadata.texts),
            removed=None if self.removed is None else append(self.removed, np.zeros(n_new, dtype=bool)),
            item_times=None if self.item_times is None else self.item_times.extend(len(items)),
        )
        return self.keeping_the_encoder(grown)

    def _in_domains(self, model: FittedModel, metadata: ItemMetadata) -> FittedModel:
        """Tell a model which domains the items are of that it has taken in last."""
        if not self.domains or not isinstance(model, HybridScorer):
            return model
        names = metadata.table[c.DOMAIN].tolist()
        rows = np.arange(model.n_items - len(names), model.n_items)
        return model.with_domains(rows, np.array([self.domains.index(name) for name in names], dtype=np.int64))

    def without_items(self, item_ids: Sequence[str]) -> "Recommender":
        """Return a recommender that lists some items no more; histories may still name them.

        Raises:
            BadInputError: an id is unknown.
        """
        rows = self.item_indices(item_ids)
        if (rows < 0).any():
            unknown = np.array(item_ids, dtype=object)[rows < 0][:5]
            raise BadInputError(f"Unknown items: {', '.join(unknown)}")
        removed = np.zeros(len(self.items), dtype=bool) if self.removed is None else self.removed.copy()
        removed[rows] = True
        return self.keeping_the_encoder(replace(self, removed=removed))

    def with_texts(self, metadata: ItemMetadata, features: Floats) -> "Recommender":
        """Return a recommender that knows other texts of items it has.

        An item with interactions keeps its factors; an item without is what its new text says.

        Args:
            metadata: of the items; their ids must be known.
            features: embeddings (a, m).
        """
        rows = self.item_indices(metadata.table["item_id"].tolist())
        if not isinstance(self.model, ReadsTexts):
            raise BadInputError(f"The model '{self.model.recipe.name}' knows no texts")
        changed = replace(
            self,
            model=self.model.with_item_texts(rows, self._wide(features, metadata, rows)),
            metadata=self.known_metadata.with_rows(rows, metadata),
            word_reader=None if self.word_reader is None else self.word_reader.with_texts(rows, metadata.texts),
        )
        return self.keeping_the_encoder(changed)

    def _wide(self, features: Floats, metadata: ItemMetadata, rows: Indices | None = None) -> Floats:
        """Return embeddings (a, m) of whole items; a part that an item lacks is 0.

        Args:
            features: of whole items, which are taken as they are, or of their texts.
            metadata: with the vectors that came with the items, if any.
            rows: of items that are known (a,): they keep vectors that are not replaced.
        """
        width = self.item_features.shape[1]
        if self.parts.names and features.shape[1] < width:
            return self.parts.join(features, metadata.vectors, None if rows is None else self.item_features[rows])
        wide = np.zeros((len(features), width), np.float32)
        wide[:, : features.shape[1]] = features
        return wide

    def keeping_the_encoder(self, other: "Recommender") -> "Recommender":
        """Hand an encoder that is loaded already to another recommender; return that."""
        if "encoder" in self.__dict__:
            other.__dict__["encoder"] = self.encoder
        # Has a row for each category, so it is of no use where there are others.
        if "meaning" in self.__dict__:
            before, now = self.known_metadata.vocabulary, other.known_metadata.vocabulary
            if before.names == now.names:
                other.__dict__["meaning"] = self.meaning
        return other

    # --- on disk -----------------------------------------------------------------------------------------------------

    def save(self, folder: Path, weights: EncoderWeights = "bf16") -> None:
        """Write everything to ``folder``: safetensors, npz without pickle, parquet, JSON, and a hash of each file."""
        folder.mkdir(parents=True, exist_ok=True)
        users, items, rank = self.users, self.items, self.tie_rank
        package.write_model(folder, self.model, users, items, self.histories, rank, self.about, self.blocked)
        if self.metadata is not None:
            self.metadata.save(folder / package.ITEMS)
        if self.encoder_of is not None:
            self.encoder.save(folder / package.ENCODER, weights)
        if self.student is not None:
            self.student.save(folder / package.STUDENT)
        if self.item_times is not None:
            self.item_times.save(folder / package.TIMES)
        if self.word_reader is not None:
            self.word_reader.save(folder / package.WORDS, weights)
        copy_plugins(self.about.get("plugins", []), folder / package.PLUGINS)
        package.write_manifest(folder)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what :meth:`save` wrote, or what 0.1 wrote; large arrays stay on disk until they are read.

        Raises:
            BadInputError: a file is missing or is not what was written; the package names sources or options that this
                version does not have; or $TAILOR_ENCODER asks for what is not there.
        """
        package.verify_manifest(folder)
        return cls(**package.read(folder), folder=folder)


def _named(request: Request, settings: Settings) -> str:
    """Return the id of a request; one is made where a draw needs it, else it is empty."""
    return request.request_id or (str(uuid.uuid4()) if settings.explore else "")
