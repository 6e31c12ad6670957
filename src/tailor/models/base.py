"""What every model is: a recipe that is fitted on a :class:`TrainSet`, and a fitted model that scores a :class:`Query`.

Shapes, used on every line: ``U`` users, ``n_items`` items of the whole catalogue (warm, cold and unseen), ``B`` users
of a query, ``d`` factors, ``m`` embedding dimensions, ``q`` and ``r`` the widths of profiles and contexts. No model
ever holds a user × item table: scores exist for the users of one query.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Generic, Protocol, Self, TypeVar, cast, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tailor.config import Options
from tailor.data.interactions import binary, recency
from tailor.data.user_texts import UserTexts
from tailor.errors import BadInputError
from tailor.types import AnyArray, JsonObject

Csr = sparse.csr_matrix
Floats = NDArray[np.float32]
Indices = NDArray[np.int64]
Mask = NDArray[np.bool_]
State = dict[str, AnyArray]
ConfigT = TypeVar("ConfigT", bound=Options)


@dataclass(frozen=True)
class Query:
    """Whom to score for: one row per user, session or stranger. Build it by :meth:`of`, which fills in what is absent.

    Example:
        >>> history = sparse.csr_matrix(np.array([[1, 0, 1], [0, 0, 0]], np.float32))
        >>> Query.of(history).take(np.array([1])).lengths
        array([0])
    """

    history: Csr
    """What each user has taken, 0/1 (B, n_items)."""
    order: Csr | None
    """The same cells: the place of each in the user's order, later ones larger; None: the order is not known."""
    confidence: Csr | None
    """The same cells: how sure each is, above 0; None: 1 each."""
    profile: Floats
    """What is known of the users themselves (B, q), rows of 0 where nothing is."""
    context: Floats
    """Of the moment each of them asks in (B, r), rows of 0 where nothing is known."""
    user_index: Indices
    """Row in the user table (B,), -1 where unknown."""
    user_text: Floats
    """Sum of the embeddings of what each user wrote (B, t), :meth:`UserTexts.sums`; rows of 0 where that is nothing."""
    memo: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)
    """What one model computed for this query and another reads too (user factors)."""

    @classmethod
    def of(
        cls,
        history: Csr,
        order: Csr | None = None,
        confidence: Csr | None = None,
        profile: Floats | None = None,
        context: Floats | None = None,
        user_index: Indices | None = None,
        user_text: Floats | None = None,
    ) -> Self:
        """Build a query; what is left out is unknown.

        Raises:
            BadInputError: order or confidence do not have the cells of the history, or another length.
        """
        n_users = history.shape[0]
        history = binary(sparse.csr_matrix(history, dtype=np.float32))
        _check_cells("history", history, order, confidence)
        return cls(
            history,
            order,
            None if confidence is None else sparse.csr_matrix(confidence, dtype=np.float32),
            np.zeros((n_users, 0), np.float32) if profile is None else profile,
            np.zeros((n_users, 0), np.float32) if context is None else context,
            np.full(n_users, -1, dtype=np.int64) if user_index is None else user_index,
            np.zeros((n_users, 0), np.float32) if user_text is None else user_text,
        )

    def __len__(self) -> int:
        """Return B."""
        return int(self.history.shape[0])

    @property
    def n_items(self) -> int:
        """Items of the catalogue."""
        return int(self.history.shape[1])

    @property
    def lengths(self) -> Indices:
        """Items of each history (B,)."""
        return np.asarray(np.diff(self.history.indptr), dtype=np.int64)

    @property
    def weights(self) -> Csr:
        """The confidence of each cell of the history, 1 where none is known (B, n_items)."""
        return self.history if self.confidence is None else self.confidence

    def decayed(self, half_life: float) -> Csr:
        """Return what each item of a history weighs (B, n_items): its confidence, halved every ``half_life`` items.

        Counted from the latest item; no decay where the order is not known.
        """
        if self.order is None:
            return self.weights
        decay = recency(self.order, half_life)
        return decay if self.confidence is None else sparse.csr_matrix(decay.multiply(self.confidence))

    def take(self, rows: Indices | slice) -> "Query":
        """Return the same for some of the users."""
        return Query(
            _rows(self.history, rows),
            None if self.order is None else _rows(self.order, rows),
            None if self.confidence is None else _rows(self.confidence, rows),
            self.profile[rows],
            self.context[rows],
            self.user_index[rows],
            self.user_text[rows],
        )

    def blocks(self, size: int) -> Iterator[tuple[slice, "Query"]]:
        """Yield ``size`` users at a time, with their place in this query."""
        for start in range(0, len(self), size):
            rows = slice(start, min(start + size, len(self)))
            yield rows, self.take(rows)


def _check_cells(name: str, matrix: Csr, order: Csr | None, confidence: Csr | None) -> None:
    """Refuse an order or confidences that are not of the cells of ``matrix``."""
    for what, other in (("order", order), ("confidence", confidence)):
        if other is not None and (other.shape != matrix.shape or other.nnz != matrix.nnz):
            raise BadInputError(
                f"{what} has shape {other.shape} and {other.nnz} cells, the {name} {matrix.shape} and {matrix.nnz}: "
                "they must have the same cells"
            )


def _rows(matrix: Csr, rows: Indices | slice) -> Csr:
    return matrix[rows]


@dataclass(frozen=True)
class Contexts:
    """The moments of single interactions, as numbers."""

    users: Indices
    """Row in the user table of each interaction whose context is known (N,)."""
    items: Indices
    """Likewise, in the item table (N,)."""
    values: Floats
    """The contexts themselves (N, r)."""

    @classmethod
    def none(cls) -> Self:
        """Return the contexts of a catalogue that has none."""
        return cls(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 0), np.float32))


@dataclass(frozen=True)
class TrainSet:
    """What a model may learn from. Build it by :meth:`of`, which fills in what is absent and checks the shapes."""

    interactions: Csr
    """Positives, 0/1 (U, n_items)."""
    order: Csr | None
    """The same cells: places in each user's order, later ones larger; None: the order is not known."""
    confidence: Csr | None
    """The same cells: how sure each is; None: 1 each."""
    warm: Mask
    """Items that may be learnt from (n_items,)."""
    tail: Mask
    """Warm items outside the head (n_items,): the one definition, of :mod:`tailor.data.buckets`."""
    item_features: Floats
    """Text embeddings, L2-normalised rows (n_items, m); m is 0 where there are none."""
    profiles: Floats
    """What is known of the users (U, q); of the last ones nothing where there are fewer rows than users."""
    contexts: Contexts
    user_texts: UserTexts
    """What the users wrote."""
    domains: Indices | None = None
    """Number of the domain of each item (n_items,); None: there is one."""

    @classmethod
    def of(
        cls,
        interactions: Csr,
        warm: Mask,
        *,
        order: Csr | None = None,
        confidence: Csr | None = None,
        tail: Mask | None = None,
        item_features: Floats | None = None,
        profiles: Floats | None = None,
        contexts: Contexts | None = None,
    ) -> Self:
        """Build a train set; what is left out is unknown.

        Raises:
            BadInputError: shapes differ, there are more profiles than users, order or confidence do not have the cells
                of the interactions, or interactions belong to items that are not warm.
        """
        n_users, n_items = interactions.shape
        features = np.zeros((n_items, 0), np.float32) if item_features is None else item_features
        if n_items != len(warm) or n_items != len(features):
            raise BadInputError(
                f"interactions have {n_items} items, warm {len(warm)}, item_features {len(features)}: they must agree"
            )
        of_cold_items = int(np.diff(sparse.csc_matrix(interactions).indptr)[~warm].sum())
        if of_cold_items:
            raise BadInputError(f"{of_cold_items} train interactions belong to items that must be treated as cold")
        if profiles is not None and len(profiles) > n_users:
            raise BadInputError(f"There are {len(profiles)} profiles of {n_users} users")
        _check_cells("interactions", interactions, order, confidence)
        return cls(
            binary(sparse.csr_matrix(interactions, dtype=np.float32)),
            order,
            None if confidence is None else sparse.csr_matrix(confidence, dtype=np.float32),
            warm,
            np.zeros(n_items, dtype=bool) if tail is None else tail,
            features,
            np.zeros((n_users, 0), np.float32) if profiles is None else profiles,
            contexts or Contexts.none(),
            UserTexts.none(),
        )

    @property
    def n_items(self) -> int:
        """Items of the catalogue."""
        return int(self.interactions.shape[1])

    @property
    def weights(self) -> Csr:
        """The confidence of each interaction, 1 where none is known (U, n_items)."""
        return self.interactions if self.confidence is None else self.confidence

    @property
    def counts(self) -> Indices:
        """Interactions of each item (n_items,)."""
        return np.bincount(self.interactions.indices, minlength=self.n_items).astype(np.int64)

    def queries(self) -> Query:
        """Return the users of this train set as one query: all that is known of them, in no context."""
        n_users = self.interactions.shape[0]
        profile = np.zeros((n_users, self.profiles.shape[1]), np.float32)
        profile[: len(self.profiles)] = self.profiles
        none = np.zeros((n_users, self.contexts.values.shape[1]), np.float32)
        users = np.arange(n_users)
        user_text = self.user_texts.sums(self.interactions, users)
        return Query.of(self.interactions, self.order, self.confidence, profile, none, users, user_text)

    def with_user_texts(self, texts: UserTexts) -> "TrainSet":
        """Return the same data with what users wrote."""
        return replace(self, user_texts=texts)

    def with_domains(self, domains: Indices | None) -> "TrainSet":
        """Return the same data of items of several domains (n_items,)."""
        return replace(self, domains=domains)

    def with_features(self, item_features: Floats) -> "TrainSet":
        """Return the same data with other texts (n_items, m)."""
        return replace(self, item_features=item_features)

    def without_features(self) -> "TrainSet":
        """Return the same data as a model sees them that reads no texts."""
        return replace(self, item_features=np.zeros((self.n_items, 0), np.float32))


class NoConfig(Options):
    """The configuration of a model that has nothing to configure."""


class Model(ABC, Generic[ConfigT]):
    """A recipe: a configuration and a seed. It is never changed by a fit, so nothing of an earlier fit can survive."""

    config_class: ClassVar[type[Options]] = NoConfig
    #: The name in parameters, lists and saved files; set by :func:`tailor.models.registry.register_model`.
    name: ClassVar[str] = ""
    #: Whether items without train interactions get a meaningful score.
    scores_cold_items: ClassVar[bool] = False
    #: Whether it learns from the order of histories: without one its scores are all 0.
    needs_order: ClassVar[bool] = False
    #: Whether a fit is many small steps on one thread, which other fits can go on beside, see
    #: :mod:`tailor.models.fitting`.
    fits_on_one_thread: ClassVar[bool] = False

    def __init__(self, config: ConfigT | None = None, seed: int = 0) -> None:
        self.config: ConfigT = cast(ConfigT, self.config_class()) if config is None else config
        self.seed = seed

    @abstractmethod
    def fit(self, data: TrainSet) -> "FittedModel":
        """Learn from a train set; return a new fitted model."""

    def remembered(self, data: TrainSet) -> "FittedModel | None":  # noqa: ARG002
        """Return what an earlier fit of this process learnt from the same data, None where it is not kept."""
        return None

    def remember(self, data: TrainSet, fitted: "FittedModel") -> None:
        """Keep what another process learnt from some data, as a fit here would."""

    @abstractmethod
    def load(self, state: State) -> "FittedModel":
        """Rebuild the fitted model whose :meth:`FittedModel.state` this is; its scores equal the original's."""


class FittedModel(ABC):
    """A model that scores. A score depends on the query alone: users, sessions and strangers take the same path."""

    recipe: Model[Any]
    """What it was fitted by."""

    @property
    @abstractmethod
    def n_items(self) -> int:
        """Items of the catalogue."""

    def score(self, query: Query) -> Floats:
        """Score the whole catalogue.

        Returns:
            Scores (B, n_items), higher is better; comparable within a row only.

        Raises:
            BadInputError: the query is over another number of items.
        """
        if query.n_items != self.n_items:
            raise BadInputError(f"The query has {query.n_items} items, the model was fitted on {self.n_items}")
        return self._score(query)

    @abstractmethod
    def _score(self, query: Query) -> Floats: ...

    def settled_options(self) -> JsonObject:
        """Return options that the fit chose by itself: a fit of the same recipe on more data takes them as they are."""
        return {}

    @abstractmethod
    def state(self) -> State:
        """Return everything :meth:`Model.load` needs, as plain arrays (for safetensors, never pickle)."""


class ColdItemImputer(Protocol):
    """Says how much of each item with interactions stands in an item of which only the text is known."""

    @property
    def landmarks(self) -> Indices:
        """Items with interactions (l,)."""
        ...

    def blocks(self, features: Floats) -> Iterator[tuple[slice, Floats]]:
        """Yield shares (b, l) of the landmarks in some of the items at a time, and which they are."""
        ...

    def predict(self, features: Floats, targets: AnyArray) -> AnyArray:
        """Return what items with ``features`` (a, m) have (a, x) where the landmarks have ``targets`` (l, x)."""
        ...


@runtime_checkable
class AcceptsNewItems(Protocol):
    """A fitted model that takes items in without being fitted again."""

    def with_new_items(self, features: Floats) -> "FittedModel":
        """Return a model that also scores items with texts ``features`` (a, m), behind its own; other scores stay."""
        ...


@runtime_checkable
class ImputesColdItems(Protocol):
    """A fitted model in which an item without interactions can stand for a mixture of items with similar texts."""

    def impute_cold_items(self, cold: Indices, features: Floats, imputer: ColdItemImputer) -> "FittedModel":
        """Return a model in which the items ``cold`` (a,) are what the imputer makes of their texts (a, m)."""
        ...


@runtime_checkable
class AcceptsImputedItems(Protocol):
    """A fitted model that takes items in as mixtures of items with similar texts: both of the above in one step."""

    def with_imputed_items(self, features: Floats, imputer: ColdItemImputer) -> "FittedModel":
        """Return a model with items behind its own that are what the imputer makes of their texts (a, m).

        What the model holds of its other items is neither copied nor computed again.
        """
        ...


@runtime_checkable
class PartialFit(Protocol):
    """A fitted model that takes interactions in from where it stands."""

    def partial_fit(self, data: TrainSet, sweeps: int) -> "FittedModel":
        """Return a model that knows all of ``data``, old interactions and new ones."""
        ...


@runtime_checkable
class Explains(Protocol):
    """A fitted model whose scores are exact sums over the history."""

    def history_shares(self, query: Query, items: Indices) -> NDArray[np.float64]:
        """Return the share (k, h) of each history item of one user in the score of each of ``items`` (k,).

        Columns stand in the order of ``query.weights.indices``; each row sums to the score before it is standardised.
        """
        ...


@runtime_checkable
class Embeds(Protocol):
    """A fitted model that places users and items in one space."""

    @property
    def item_vectors(self) -> AnyArray:
        """One row per item (n_items, p)."""
        ...

    def user_vectors(self, query: Query) -> AnyArray:
        """Return one row per user (B, p)."""
        ...


@runtime_checkable
class ScoresTexts(Protocol):
    """A fitted model that can score a text as if an item had it."""

    def with_item_texts(self, rows: Indices, features: Floats) -> "FittedModel":
        """Return a model in which the items ``rows`` (a,) have the texts ``features`` (a, m)."""
        ...

    def score_texts(self, query: Query, features: Floats) -> Floats:
        """Return the scores (B, t) that items with texts ``features`` (t, m) would have."""
        ...


@runtime_checkable
class BlendsSources(Protocol):
    """A fitted model whose score is a weighted sum of standardised scores, one per source, and a remainder."""

    @property
    def source_names(self) -> tuple[str, ...]:
        """Names of the S sources."""
        ...

    def scored(self, query: Query) -> tuple[Floats, list[Floats]]:
        """Return scores (B, n_items), and the standardised scores (B, n_items) of every source."""
        ...

    def source_weights(self, query: Query, items: Indices) -> NDArray[np.float64]:
        """Return the weight of each source (B, k, S) for items (B, k)."""
        ...


@runtime_checkable
class Boostable(Protocol):
    """A fitted model that can be moved between accuracy and exposure."""

    def boosted(self, settings: dict[str, float]) -> "FittedModel":
        """Return the model at another operating point, in every domain; boosts that ``settings`` does not name stay."""
        ...


@runtime_checkable
class ReadsTexts(Protocol):
    """A fitted model that knows its items' texts as embeddings."""

    @property
    def item_features(self) -> Floats:
        """L2-normalised embeddings (n_items, m)."""
        ...

    def with_item_texts(self, rows: Indices, features: Floats) -> "FittedModel":
        """Return a model in which the items ``rows`` (a,) have the texts ``features`` (a, m)."""
        ...


@runtime_checkable
class ComparesItems(Protocol):
    """A fitted model that says how near items are to one of them."""

    def similarities(self, item: int) -> Floats:
        """Return the nearness of every item to one (n_items,), higher is nearer."""
        ...


@runtime_checkable
class Derives(Protocol):
    """A recipe whose fitted model is computed from another fitted model, not from the train set."""

    def derive(self, base: FittedModel, imputer: Any) -> FittedModel:
        """Compute the fitted model from another one and what imputes cold items."""
        ...

    def load_derived(self, state: State, base: FittedModel) -> FittedModel:
        """Rebuild the fitted model from its state and the one it is computed from."""
        ...


@runtime_checkable
class Rebases(Protocol):
    """A fitted model that is computed from another one, and follows where that changes."""

    def rebased(self, base: FittedModel, changed: Indices) -> FittedModel:
        """Return the model computed from ``base``, in which the items ``changed`` (a,) are new or other than before."""
        ...


def part_of_state(state: State, name: str) -> State:
    """Return the arrays under ``name/``, without that prefix."""
    return {key.split("/", 1)[1]: value for key, value in state.items() if key.startswith(f"{name}/")}
