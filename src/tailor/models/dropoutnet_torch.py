"""Fitting :mod:`tailor.models.dropoutnet`: on a CPU, in steps whose number and size do not grow with the catalogue."""

from dataclasses import dataclass

import numpy as np
import torch

from tailor.determinism import fit_of_small_steps
from tailor.models.base import Floats, Indices, Model, State, TrainSet
from tailor.models.dropoutnet import DropoutNet, DropoutNetConfig, FittedDropoutNet, centred
from tailor.progress import progress

#: What the last layer starts at, in the unit of torch's default: the first predictions are smaller than the targets.
_OUTER_SCALE = 0.3


class Net(torch.nn.Module):
    """One hidden layer with tanh, some of whose units are dropped in training."""

    def __init__(self, n_inputs: int, config: DropoutNetConfig) -> None:
        super().__init__()
        self.inner = torch.nn.Linear(n_inputs, config.hidden)
        self.outer = torch.nn.Linear(config.hidden, config.factors)
        self.dropout = torch.nn.Dropout(config.dropout)
        with torch.no_grad():
            self.outer.weight.mul_(_OUTER_SCALE)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return what comes out (B, d) of inputs (B, d + m)."""
        out: torch.Tensor = self.outer(self.dropout(torch.tanh(self.inner(inputs))))
        return out


@dataclass(frozen=True)
class Side:
    """Users, or items: what their network reads, and the network."""

    factors: torch.Tensor
    """(n, d), of all users or items."""
    texts: torch.Tensor
    """(n, m)."""
    chosen: Indices
    """Which of them take part."""
    scales: tuple[float, float]
    """What factors and texts are divided by."""
    net: Net

    @classmethod
    def of(cls, factors: Floats, texts: Floats, chosen: Indices, config: DropoutNetConfig) -> "Side":
        """Build one with a new network."""
        scales = _root_mean_square(factors[chosen]), _root_mean_square(texts[chosen])
        return cls(
            torch.from_numpy(factors),
            torch.from_numpy(texts),
            chosen,
            scales,
            Net(factors.shape[1] + texts.shape[1], config),
        )

    def draw(self, most: int, rng: np.random.Generator) -> torch.Tensor:
        """Return some of those that take part, at most so many."""
        return torch.from_numpy(rng.choice(self.chosen, min(most, len(self.chosen)), replace=False))

    def place(self, rows: torch.Tensor, dropped: float) -> torch.Tensor:
        """Return what the network makes of some rows (B, d); a share of them is without factors."""
        stays = torch.rand(len(rows), 1) >= dropped
        factors = self.factors[rows] * stays / self.scales[0]
        placed: torch.Tensor = self.net(torch.hstack([factors, self.texts[rows] / self.scales[1]]))
        return placed

    def arrays(self) -> State:
        """Return the network as :func:`tailor.models.dropoutnet.forward` reads it, the scales in its first matrix."""
        inner, outer = self.net.inner, self.net.outer
        scales = np.repeat(self.scales, [self.factors.shape[1], self.texts.shape[1]]).astype(np.float32)
        arrays = {"inner_shift": inner.bias, "outer": outer.weight.T, "outer_shift": outer.bias}
        state = {name: tensor.detach().numpy().copy() for name, tensor in arrays.items()}
        return state | {"inner": np.ascontiguousarray(inner.weight.T.detach().numpy() / scales[:, None])}


def _root_mean_square(values: Floats) -> float:
    return float(np.sqrt(np.mean(values**2))) if values.any() else 1.0


def fit(recipe: DropoutNet, data: TrainSet) -> FittedDropoutNet:
    """Fit the iALS, then the networks that reproduce it.

    Args:
        recipe: options and seed.
        data: what is learnt from.
    """
    factors, known = recipe.ials().fit(data), data.counts > 0
    active = np.diff(data.interactions.indptr)
    centre = data.item_features[known].mean(axis=0) if known.any() else data.item_features[:0].sum(axis=0)
    texts = centred(data.item_features, centre)
    of_users = np.asarray(data.interactions @ texts / np.maximum(active, 1)[:, None], dtype=np.float32)
    with fit_of_small_steps():
        torch.manual_seed(recipe.seed)
        user_factors = factors.fold_in(data.weights).astype(np.float32)
        item_factors = factors.item_factors.astype(np.float32)
        users = Side.of(user_factors, of_users, np.flatnonzero(active), recipe.config)
        items = Side.of(item_factors, texts, np.flatnonzero(known), recipe.config)
        _train(recipe, users, items)
    return FittedDropoutNet.of_nets(recipe, factors, known, (centre, texts), (users.arrays(), items.arrays()))


def _train(recipe: Model[DropoutNetConfig], users: Side, items: Side) -> None:
    config, rng = recipe.config, np.random.default_rng([recipe.seed, 7])
    optimizer = torch.optim.Adam([*users.net.parameters(), *items.net.parameters()], lr=config.learning_rate)
    for step in progress(range(config.steps), "DropoutNet", "step"):
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * (1 - step / config.steps)
        u, i = users.draw(config.batch_users, rng), items.draw(config.batch_items, rng)
        targets = users.factors[u] @ items.factors[i].T
        placed = users.place(u, config.user_dropout) @ items.place(i, config.item_dropout).T
        loss = ((placed - targets) ** 2).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
