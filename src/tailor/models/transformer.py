"""A transformer over the order of a history: what comes next after the latest items.

    h_t = Transformer(x_(i_1) + p_1, …, x_(i_t) + p_t),   score(i) = h_T · x_i,   x_i = m_i z_i + Wᵀ e_i

Causal attention over the last L items (SASRec: Kang & McAuley 2018, "Self-attentive sequential recommendation"), in
gated pre-norm blocks

    x ← x + MHA(LN x) ⊙ σ(G₁ x + g₁),   x ← x + FF(LN x) ⊙ σ(G₂ x + g₂),   FF(n) = W₃ (silu(W₁ n) ⊙ W₂ n)

(LiGR: Borisyuk et al. 2024; in SASRec: Tikhonovich et al. 2025, "eSASRec"). An item is a vector of its own, z_i, plus
what its text says; in training m_i is 0 for some items of each batch (DropoutNet: Volkovs et al. 2017), so that items
without interactions, whose m_i is 0 for good, get a sensible place. Input and output share x_i.

Fitted in :mod:`tailor.models.transformer_torch`; a fitted model needs numpy alone.
"""

from dataclasses import dataclass, replace
from types import ModuleType
from typing import Annotated, Any, Self, cast

import numpy as np
from pydantic import Field, model_validator
from scipy.special import expit, softmax

from tailor.appending import append
from tailor.config import Count, Options, Positive
from tailor.data.interactions import in_order
from tailor.models.base import (
    ConfigT,
    Csr,
    FittedModel,
    Floats,
    Indices,
    Mask,
    Model,
    Query,
    State,
    TrainSet,
    part_of_state,
)
from tailor.models.registry import register_model
from tailor.types import JsonObject

#: Histories that go through the transformer at a time.
_BLOCK = 128
_EPSILON = 1e-5


class SASRecConfig(Options):
    """Configuration of :class:`SASRec`."""

    width: Count = 64
    """d, of items and of hidden states."""
    layers: Count = 2
    """Blocks."""
    heads: Count = 2
    """Attention heads; they divide the width."""
    max_length: Annotated[int, Field(ge=2, le=1000)] = 50
    """L: the last items of a history that are read."""
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.2
    """Share of what a block adds, and of the inputs, that is dropped in training."""
    learning_rate: Positive = 1e-3
    """Of Adam, after a warm-up over 100 steps."""
    batch_tokens: Count = 1000
    """Items that are predicted in one step; on small catalogues fewer, so that an epoch has 20 steps."""
    epochs: Count = 100
    """At most so many."""
    patience: Count = 8
    """Epochs that rank the held-out last items no better after which the training stops."""
    exact_epochs: Count | None = None
    """Train for exactly so many epochs, with nothing held out: what validation chose, where all of train is learnt
    from. None: the epoch that ranks the held-out last items best."""
    held_out_users: Count = 1000
    """Users, at most a fifth, whose last item is not trained on but chooses the epoch."""
    negatives: Count = 2048
    """Items that the softmax is taken over on catalogues of more than ``max_softmax_items``, drawn for each step."""
    max_softmax_items: Count = 8000
    """Up to so many items with interactions the softmax is taken over all of them."""

    @model_validator(mode="after")
    def _heads_divide(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"heads: {self.heads} do not divide the width {self.width}")
        return self


class TransformerConfig(SASRecConfig):
    """Configuration of :class:`Transformer`."""

    id_dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.3
    """Share of the items whose own vectors are left out of a training step."""


@dataclass(frozen=True, eq=False)
class FittedTransformer(FittedModel):
    """Weights as plain arrays; none where the train set knew no order, then all scores are 0."""

    recipe: Model[Any]
    warm: Mask
    """Items with vectors of their own (n_items,)."""
    items: Floats
    """x_i (n_items, d); (n_items, 0) where no order was known."""
    text_map: Floats
    """W (m, d); (0, d) without texts."""
    positions: Floats
    """p_t (L, d)."""
    blocks: State
    """Arrays of the blocks, and the last norm's."""
    epochs: int = 0
    """After so many the weights are these; 0: not known."""

    @property
    def n_items(self) -> int:
        """Items of the catalogue."""
        return len(self.items)

    def _score(self, query: Query) -> Floats:
        scores = np.zeros((len(query), self.n_items), np.float32)
        if not self.items.shape[1]:
            return scores
        known = np.flatnonzero(query.lengths)
        scores[known] = self._hidden(query, known) @ self.items.T
        return scores

    def _hidden(self, query: Query, rows: Indices) -> Floats:
        """Return the state after the last item of some histories (R, d), none of them empty."""
        sequences = sequences_of(query.take(rows), len(self.positions))
        lengths = np.array([len(items) for items in sequences])
        hidden = np.zeros((len(rows), self.items.shape[1]), np.float32)
        by_length = np.argsort(lengths, kind="stable")
        for start in range(0, len(rows), _BLOCK):
            chosen = by_length[start : start + _BLOCK]
            hidden[chosen] = self.forward([sequences[row] for row in chosen], lengths[chosen])
        return hidden

    def forward(self, sequences: list[Indices], lengths: Indices) -> Floats:
        """Return the state after the last of each sequence (B, d)."""
        longest, d = int(lengths.max()), self.items.shape[1]
        x = np.zeros((len(sequences), longest, d), np.float32)
        for row, items in enumerate(sequences):
            x[row, : len(items)] = self.items[items]
        x += self.positions[:longest]
        last = lengths - 1
        for layer in range(self.recipe.config.layers):
            final = layer == self.recipe.config.layers - 1
            x = self._block(x, part_of_state(self.blocks, str(layer)), last if final else None)
        return _norm(x[:, 0], self.blocks["norm_scale"], self.blocks["norm_shift"])

    def _block(self, x: Floats, w: State, last: Indices | None) -> Floats:
        """Return what a block makes of its inputs (B, T, d); ``last``: of these places alone (B, 1, d)."""
        normed = _norm(x, w["norm1_scale"], w["norm1_shift"])
        rows = np.arange(len(x))[:, None]
        asking = slice(None) if last is None else (rows, last[:, None])
        x, attended = x[asking], self._attend(normed, normed[asking], w, last)
        x = x + attended * expit(x @ w["gate1"] + w["gate1_shift"])
        normed = _norm(x, w["norm2_scale"], w["norm2_shift"])
        inner = normed @ w["inner"]
        inner = inner * expit(inner) * (normed @ w["outer"])
        return np.asarray(x + (inner @ w["down"]) * expit(x @ w["gate2"] + w["gate2_shift"]), np.float32)

    def _attend(self, normed: Floats, asking: Floats, w: State, last: Indices | None) -> Floats:
        """Return causal attention of the places that ask (B, S, d) over all places (B, T, d)."""
        heads = self.recipe.config.heads
        q, k, v = (_split(part @ w[name], heads) for name, part in (("q", asking), ("k", normed), ("v", normed)))
        logits = q @ k.swapaxes(2, 3) / np.float32(np.sqrt(q.shape[-1]))
        steps = np.arange(normed.shape[1])
        of_query = steps[None] if last is None else last[:, None]
        later = steps[None, None] > of_query[:, :, None]
        logits = np.where(later[:, None], np.float32(-1e9), logits)
        attended = softmax(logits, axis=-1) @ v
        return np.asarray(attended.swapaxes(1, 2).reshape(asking.shape) @ w["out"])

    def with_new_items(self, features: Floats) -> Self:
        """See :class:`AcceptsNewItems`: a new item is what its text says."""
        items = append(self.items, self.of_texts(features))
        return replace(self, items=items, warm=append(self.warm, np.zeros(len(features), dtype=bool)))

    def with_item_texts(self, rows: Indices, features: Floats) -> Self:
        """See :class:`ScoresTexts`: an item with interactions keeps its place."""
        cold, items = ~self.warm[rows], self.items.copy()
        items[rows[cold]] = self.of_texts(features[cold])
        return replace(self, items=items)

    def score_texts(self, query: Query, features: Floats) -> Floats:
        """See :class:`ScoresTexts`."""
        scores, known = np.zeros((len(query), len(features)), np.float32), np.flatnonzero(query.lengths)
        if self.items.shape[1]:
            scores[known] = self._hidden(query, known) @ self.of_texts(features).T
        return scores

    def of_texts(self, features: Floats) -> Floats:
        """Return Wᵀ e (a, d); narrower embeddings lack the last dimensions, which are 0."""
        used = min(features.shape[1], len(self.text_map))
        return np.asarray(features[:, :used] @ self.text_map[:used], dtype=np.float32)

    def partial_fit(self, data: TrainSet, sweeps: int) -> "FittedTransformer":
        """Go on for ``sweeps`` epochs from where the weights stand; see :class:`PartialFit`."""
        from tailor.models import transformer_torch  # noqa: PLC0415  (training only: what is served needs no torch)

        return transformer_torch.fit(self.recipe, data, self, sweeps)

    def settled_options(self) -> JsonObject:
        """See :meth:`FittedModel.settled_options`: the number of epochs."""
        return {"exact_epochs": self.epochs} if self.epochs else {}

    def state(self) -> State:
        """See :meth:`FittedModel.state`."""
        of_blocks = {f"blocks/{name}": value for name, value in self.blocks.items()}
        return {
            "warm": self.warm,
            "items": self.items,
            "text_map": self.text_map,
            "positions": self.positions,
            "epochs": np.array([self.epochs]),
        } | of_blocks


def sequences_of(query: Query, most: int) -> list[Indices]:
    """Return the last ``most`` items of each history, from the first to the latest.

    Where the order is not known they stand as their ids do.
    """
    history: Csr = query.history if query.order is None else query.order
    items, ends = in_order(history)[1], history.indptr[1:]
    starts = np.maximum(history.indptr[:-1], ends - most)
    return [items[start:end] for start, end in zip(starts, ends, strict=True)]


def _split(x: Floats, heads: int) -> Floats:
    """Turn (B, T, d) into (B, heads, T, d / heads)."""
    return x.reshape(*x.shape[:2], heads, -1).swapaxes(1, 2)


def _norm(x: Floats, scale: Floats, shift: Floats) -> Floats:
    centred = x - x.mean(axis=-1, keepdims=True)
    variance = (centred**2).mean(axis=-1, keepdims=True)
    return np.asarray(centred / np.sqrt(variance + np.float32(_EPSILON)) * scale + shift)


class _ReadsOrder(Model[ConfigT]):
    """Causal attention over the latest items."""

    needs_order = True
    fits_on_one_thread = True

    def fit(self, data: TrainSet) -> FittedTransformer:
        """See :meth:`Model.fit`.

        The epoch is chosen on the last items of some users, which are not trained on; the same seed and data give the
        same weights.
        """
        return cast(FittedTransformer, _training().fit(self, data))

    def remembered(self, data: TrainSet) -> FittedTransformer | None:
        """See :meth:`Model.remembered`."""
        return cast(FittedTransformer | None, _training().remembered(self, data))

    def remember(self, data: TrainSet, fitted: FittedModel) -> None:
        """See :meth:`Model.remember`."""
        _training().remember(self, data, cast(FittedTransformer, fitted))

    def load(self, state: State) -> FittedTransformer:
        """See :meth:`Model.load`."""
        items, text_map, positions = (state[name] for name in ("items", "text_map", "positions"))
        epochs = int(state["epochs"][0]) if "epochs" in state else 0  # earlier ones lack it
        blocks = part_of_state(state, "blocks")
        return FittedTransformer(self, state["warm"].astype(bool), items, text_map, positions, blocks, epochs)


def _training() -> ModuleType:
    from tailor.models import transformer_torch  # noqa: PLC0415  (training only: what is served needs no torch)

    return transformer_torch


@register_model("transformer")
class Transformer(_ReadsOrder[TransformerConfig]):
    """Causal attention over the latest items, which are known by themselves and by their texts."""

    config_class = TransformerConfig
    scores_cold_items = True


@register_model("sasrec")
class SASRec(_ReadsOrder[SASRecConfig]):
    """Causal attention over the latest items, known by themselves alone: the baseline."""

    config_class = SASRecConfig
