"""DropoutNet: two networks that reproduce iALS from factors and texts, also where the factors are missing.

    û = f(u, c_u),   v̂ = g(v, e),   min Σ_(u,i) (û_u · v̂_i - u · v_i)²

Volkovs, Yu & Poutanen 2017, "DropoutNet: Addressing cold start in recommender systems". u and v are factors of
:mod:`tailor.models.ials`, e an item's text and c_u the mean of the texts in a user's history. In each step of the
training the factors of some users and of some items are 0, so that an item without interactions, which has no v, is
placed by its text. f and g have one hidden layer with tanh. In the place of the paper's batch normalisation, inputs are
scaled once and hidden units are dropped.

Fitted in :mod:`tailor.models.dropoutnet_torch`; a fitted model needs numpy alone.
"""

from dataclasses import dataclass, replace
from typing import Annotated, Any, Self

import numpy as np
from pydantic import Field

from tailor.config import Count, Options, Positive
from tailor.models.base import FittedModel, Floats, Mask, Model, Query, State, TrainSet, part_of_state
from tailor.models.ials import IALS, FittedIALS, IALSConfig, products
from tailor.models.registry import register_model

Dropped = Annotated[float, Field(ge=0.0, lt=1.0)]


class DropoutNetConfig(Options):
    """Configuration of :class:`DropoutNet`."""

    factors: Count = 64
    """Latent dimension of the iALS, and of what the networks return."""
    alpha: Positive = 0.1
    """Of the iALS: weight of the unobserved cells."""
    regularization: Positive = 0.003
    """Of the iALS: λ_u = λ_v."""
    iterations: Count = 16
    """Of the iALS: alternating sweeps."""
    item_dropout: Dropped = 0.5
    """Share of the items whose factors are left out of a step."""
    user_dropout: Dropped = 0.5
    """Share of the users likewise."""
    hidden: Count = 256
    """Units of the hidden layer."""
    dropout: Dropped = 0.5
    """Share of the hidden units that is dropped in training."""
    steps: Count = 800
    """Steps of Adam, each over ``batch_users`` users and ``batch_items`` items."""
    learning_rate: Positive = 1e-3
    """Of Adam in the first step; it falls to 0 in a line."""
    batch_users: Count = 128
    """Users of a step."""
    batch_items: Count = 512
    """Items of a step."""

    def ials(self) -> IALSConfig:
        """Return the options of the iALS whose factors are reproduced."""
        return IALSConfig(
            factors=self.factors, alpha=self.alpha, regularization=self.regularization, iterations=self.iterations
        )


def forward(inputs: Floats, net: State) -> Floats:
    """Return what a network makes of its inputs (B, d + m): (B, d)."""
    hidden = np.tanh(inputs @ net["inner"] + net["inner_shift"])
    return np.asarray(hidden @ net["outer"] + net["outer_shift"], dtype=np.float32)


def centred(features: Floats, centre: Floats) -> Floats:
    """Return texts (a, m) less their centre (m,); an item without a text, a row of 0, stays 0."""
    return np.asarray((features - centre) * features.any(axis=1, keepdims=True), dtype=np.float32)


@dataclass(frozen=True, eq=False)
class FittedDropoutNet(FittedModel):
    """The iALS that is reproduced, and the two networks as plain arrays."""

    recipe: Model[DropoutNetConfig]
    factors: FittedIALS
    centre: Floats
    """Mean text of the items with interactions (m,)."""
    texts: Floats
    """Texts less their centre (n_items, m)."""
    items: Floats
    """v̂ (n_items, d)."""
    user_net: State
    """f: matrices by which rows are multiplied, and shifts."""
    item_net: State
    """g."""

    @classmethod
    def of_nets(
        cls,
        recipe: Model[DropoutNetConfig],
        factors: FittedIALS,
        warm: Mask,
        texts: tuple[Floats, Floats],
        nets: tuple[State, State],
    ) -> Self:
        """Build from networks.

        Args:
            recipe: options and seed.
            factors: the iALS.
            warm: items with interactions (n_items,), whose factors are read.
            texts: their centre (m,), and texts less their centre (n_items, m).
            nets: f and g.
        """
        preferences = np.asarray(factors.item_factors * warm[:, None], dtype=np.float32)
        items = forward(np.hstack([preferences, texts[1]]), nets[1])
        return cls(recipe, factors, *texts, items, *nets)

    @property
    def n_items(self) -> int:
        """Items of the catalogue."""
        return len(self.items)

    @property
    def item_vectors(self) -> Floats:
        """See :class:`Embeds`."""
        return self.items

    def user_vectors(self, query: Query) -> Floats:
        """Return û (B, d), see :class:`Embeds`."""
        of_history = query.weights @ self.texts / np.maximum(query.lengths, 1)[:, None]
        inputs = np.hstack([self.factors.users_of(query), of_history])
        return forward(np.asarray(inputs, dtype=np.float32), self.user_net)

    def _score(self, query: Query) -> Floats:
        return products(self.user_vectors(query), self.items)

    def with_new_items(self, features: Floats) -> Self:
        """See :class:`AcceptsNewItems`: a new item is placed by its text."""
        texts = centred(features, self.centre)
        preferences = np.zeros((len(texts), self.factors.item_factors.shape[1]), np.float32)
        return replace(
            self,
            factors=self.factors.with_new_items(features),
            texts=np.vstack([self.texts, texts]),
            items=np.vstack([self.items, forward(np.hstack([preferences, texts]), self.item_net)]),
        )

    def state(self) -> State:
        """See :meth:`FittedModel.state`."""
        parts = {"factors": self.factors.state(), "user_net": self.user_net, "item_net": self.item_net}
        nested = {f"{part}/{name}": value for part, state in parts.items() for name, value in state.items()}
        return {"centre": self.centre, "texts": self.texts, "items": self.items} | nested


@register_model("dropoutnet")
class DropoutNet(Model[DropoutNetConfig]):
    """iALS reproduced by networks that read texts too, and can do without factors."""

    config_class = DropoutNetConfig
    scores_cold_items = True
    fits_on_one_thread = True

    def fit(self, data: TrainSet) -> FittedDropoutNet:
        """See :meth:`Model.fit`: the same seed, data and number of threads give the same weights."""
        from tailor.models import dropoutnet_torch  # noqa: PLC0415  (training only: what is served needs no torch)

        return dropoutnet_torch.fit(self, data)

    def ials(self) -> IALS:
        """Return the recipe of the iALS whose factors are reproduced."""
        return IALS(self.config.ials(), self.seed)

    def load(self, state: State) -> FittedDropoutNet:
        """See :meth:`Model.load`."""
        factors = self.ials().load(part_of_state(state, "factors"))
        nets: Any = (part_of_state(state, "user_net"), part_of_state(state, "item_net"))
        return FittedDropoutNet(self, factors, state["centre"], state["texts"], state["items"], *nets)
