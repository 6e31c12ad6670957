"""Learning how to blend: softmax over the whole catalogue, on validation rows, in blocks of users.

    L = -1/U Σ_u 1/|P_u| Σ_(i∈P_u) log softmax_j s(u, j)[i]  +  l2 |θ|²       (j over all items that u may be shown)

The listwise loss of Cao et al. 2007, "Learning to rank" (top-one probability). ``linear`` and ``gated`` are
convex in θ. The loss weighs every place of the catalogue, lists have k: so the weights of ``linear`` then climb the
mean NDCG@k itself, one at a time (coordinate ascent, Metzler & Croft 2007, "Linear feature-based models for information
retrieval", §4), from the optimum of the loss or from a single source, whichever is higher.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy import sparse

from tailor.hybrid.blend import BlendModel, one_hot
from tailor.hybrid.config import BlendKind, BlendOptions
from tailor.hybrid.training_set import BlendTrainingSet, mean_or_0
from tailor.models.base import Csr, Floats, Mask
from tailor.progress import progress
from tailor.threads import blocks
from tailor.topk import EXCLUDED

#: Steps of the ascent (weights sum to 1 in absolute value), and its passes per step.
_STEPS, _PASSES = (0.4, 0.2, 0.1, 0.05), 4
#: Users that it looks at, more where these want fewer items than ``_POSITIVES``; and the best items of each source,
#: which are what it ranks for a user.
_USERS, _POSITIVES, BEST = 2000, 10_000, 100


def fit(
    data: BlendTrainingSet,
    kind: BlendKind,
    options: BlendOptions,
    seed: int,
    excluded: tuple[str, ...] = (),
    ascend_to: int | None = None,
) -> BlendModel:
    """Fit one member of the family.

    Args:
        data: what to rank, for whom.
        kind: ``linear`` and ``gated`` are fitted by L-BFGS to the optimum, the others by Adam for ``options.epochs``.
        options: l2, rank, epochs.
        seed: of the start of ``bilinear`` and ``deep``.
        excluded: sources whose weights stay 0, as those do that tell no two items apart.
        ascend_to: k of the NDCG@k that the weights of ``linear`` climb in the end; None: they stay at the optimum of
            the loss.
    """
    active = data.active_mask(excluded)
    if not data.positives.nnz or not active.any():
        return BlendModel(np.array(active / max(active.sum(), 1), np.float32))
    model, loss = _Trainable(kind, data, active, options.rank, seed), ListwiseLoss(data, options.l2, active)
    if kind in ("linear", "gated"):
        _minimise(model, loss)
    else:
        _descend(model, loss, options.epochs)
    fitted = model.export()
    return coordinate_ascent(data, fitted, ascend_to, active) if kind == "linear" and ascend_to else fitted


@dataclass
class _Climber:
    """Weights on their way up: scores are kept, so that a step reads one source, not all."""

    data: BlendTrainingSet
    k: int
    base: Floats
    scores: Floats
    best: float
    least: float
    """What no weight may fall below."""

    @classmethod
    def start(cls, data: BlendTrainingSet, k: int, base: Floats, least: float = -np.inf) -> "_Climber":
        scores = np.where(data.candidate_mask, BlendModel(base).score(list(data.z), data.meta), EXCLUDED)
        climber = cls(data, k, base, scores, 0.0, least)
        climber.best = climber.value(0, 0.0)
        return climber

    def value(self, source: int, step: float) -> float:
        """Return the mean NDCG@k if the weight of a source were ``step`` larger."""

        def allowed(rows: slice) -> Floats:
            scores: Floats = self.scores[rows]
            return scores + np.float32(step) * self.data.z[source][rows] if step else scores

        return mean_or_0(self.data.measure_blocks(allowed, self.k))

    def move(self, source: int, step: float, value: float) -> None:
        """Make a step, and scale the weights to length 1."""
        base = self.base.copy()
        base[source] += step
        length = np.float32(np.abs(base).sum() or 1.0)
        self.scores += np.float32(step) * self.data.z[source]
        self.scores /= length
        self.base, self.best = base / length, value

    def try_all(self, sources: list[int], size: float) -> bool:
        """Try a step of each source up and down; return whether any helped."""
        before = self.best
        for source in progress(sources, "blend: climb", "source"):
            for step in (size, -size):
                if self.base[source] + step < self.least:
                    continue
                value = self.value(source, step)
                if value > self.best:
                    self.move(source, step, value)
        return self.best > before


def coordinate_ascent(
    data: BlendTrainingSet, model: BlendModel, k: int, active: Mask, least: float = -np.inf
) -> BlendModel:
    """Return a ``linear`` model with ``base`` (S,) at a local maximum of mean NDCG@k; only ``active`` sources move, and
    none below ``least``.

    Looks at :func:`enough_users` evenly spaced users, and of each at the ``BEST`` items of each source: nearly all that
    stands on a list is among them.
    """
    users = np.linspace(0, data.n_users - 1, enough_users(data.positives)).astype(np.int64)
    sources = [int(source) for source in np.flatnonzero(active)]
    part = data.pooled(users, sources, BEST)
    starts = [model.base, *(one_hot(data.sources[source], data.sources) for source in sources)]
    climber = max((_Climber.start(part, k, base, least) for base in starts), key=lambda climber: climber.best)
    for size in _STEPS:
        for _ in range(_PASSES):
            if not climber.try_all(sources, size):
                break
    return replace(model, base=climber.base)


def fit_linear(
    data: BlendTrainingSet, start: BlendModel, options: BlendOptions, k: int, excluded: tuple[str, ...] = ()
) -> BlendModel:
    """Return linear weights that were fitted on the data, or climbed there from others, whichever list better.

    Args:
        data: what to rank, for whom.
        start: linear weights.
        options: l2.
        k: cut-off.
        excluded: sources that may have no weight.
    """
    climbed = coordinate_ascent(data, start, k, data.active_mask(excluded))
    fitted = fit(data, "linear", options, 0, excluded, ascend_to=k)  # nothing of it is drawn
    return max(climbed, fitted, key=lambda model: data.mean_ndcg(model.score(list(data.z), data.meta), k))


def enough_users(positives: Csr) -> int:
    """Return how many of the users (U, n) the ascent looks at: ``_USERS``, or as many as want ``_POSITIVES`` items."""
    n_users = positives.shape[0]
    return int(min(n_users, max(_USERS, _POSITIVES * n_users // max(positives.nnz, 1))))


#: Returns scores (b, n) from standardised scores (F, b, n) of a block of users.
Scores = Callable[[torch.Tensor, slice], torch.Tensor]


class ListwiseLoss:
    """The loss of one training set, in blocks, with gradients; of the active sources alone.

    Positives that are no candidates, see :meth:`BlendTrainingSet.pooled`, are passed over.
    """

    def __init__(self, data: BlendTrainingSet, l2: float, active: Mask) -> None:
        self.l2 = l2
        self.z = torch.from_numpy(data.z if active.all() else data.z[active])
        self.hidden = torch.from_numpy(~data.candidate_mask)
        positives = sparse.csr_matrix(data.positives.multiply(data.candidate_mask))
        positives.eliminate_zeros()  # what is masked is stored as 0
        counts = np.diff(positives.indptr)
        self.row = torch.from_numpy(np.repeat(np.arange(len(counts)), counts))
        self.column = torch.from_numpy(positives.indices.astype(np.int64))
        self.weight = torch.from_numpy((1 / np.maximum(np.repeat(counts, counts), 1)).astype(np.float32))
        self.bounds = positives.indptr
        self.n_users = len(counts)

    def __call__(self, model: Scores, users: slice) -> torch.Tensor:
        """Return the sum over a block of users / all users."""
        scores = model(self.z[:, users], users).masked_fill(self.hidden[users], -1e9)
        cells = slice(int(self.bounds[users.start]), int(self.bounds[min(users.stop, self.n_users)]))
        log_p = torch.log_softmax(scores, dim=1)[self.row[cells] - users.start, self.column[cells]]
        return -(log_p * self.weight[cells]).sum() / self.n_users

    def backward(self, model: "_Trainable") -> torch.Tensor:
        """Add the gradients of the whole loss; return it."""
        total = self.add_gradients(model)
        penalty = self.penalty(model)
        penalty.backward()  # type: ignore[no-untyped-call]
        return total + penalty.detach()

    def add_gradients(self, model: Scores, share: float = 1.0) -> torch.Tensor:
        """Add the gradients of a share of the loss, without the penalty; return that share."""
        total = torch.zeros(())
        for users in blocks(self.n_users):
            loss = self(model, users) * share
            loss.backward()  # type: ignore[no-untyped-call]
            total += loss.detach()
        return total

    def penalty(self, model: "_Trainable") -> torch.Tensor:
        """Return l2 |θ|²."""
        return self.l2 * torch.stack([(p**2).sum() for p in model.parameters()]).sum()


class _Trainable(torch.nn.Module):
    """:class:`tailor.hybrid.blend.BlendModel` with gradients, of the active sources (F of S)."""

    def __init__(self, kind: BlendKind, data: BlendTrainingSet, active: Mask, rank: int, seed: int) -> None:
        super().__init__()
        self.kind, meta = kind, data.meta
        self.active = active
        self.centre, self.scale = float(meta.activity.mean()), float(meta.activity.std()) or 1.0
        self.activity = torch.from_numpy((meta.activity - self.centre) / self.scale)
        self.popularity = torch.from_numpy(meta.popularity)
        n = int(active.sum())
        self.base = torch.nn.Parameter(torch.full((n,), 1.0 / len(active)))
        if kind != "linear":
            self.by_popularity = torch.nn.Parameter(torch.zeros(n))
            self.by_activity = torch.nn.Parameter(torch.zeros(n))
            self.bias = torch.nn.Parameter(torch.zeros(1))
        if kind in ("bilinear", "deep"):
            generator = torch.Generator().manual_seed(seed)
            self.users, self.items = torch.from_numpy(meta.users), torch.from_numpy(meta.items)
            self.user_map, self.item_map = (
                torch.nn.Parameter(torch.randn(side.shape[1], rank, generator=generator) * 0.1)
                for side in (self.users, self.items)
            )
        if kind == "deep":
            self.out = torch.nn.Parameter(torch.zeros(rank))

    def forward(self, z: torch.Tensor, users: slice) -> torch.Tensor:
        """Return scores (b, n) from z (F, b, n); one pass over z, whatever its weights depend on."""
        if self.kind == "linear":
            return (self.base @ z.flatten(1)).view(z.shape[1:])
        weights = torch.stack([self.base, self.by_popularity, self.by_activity])
        plain, by_item, by_user = (weights @ z.flatten(1)).view(3, *z.shape[1:])
        scores: torch.Tensor = plain + (by_item + self.bias) * self.popularity + by_user * self.activity[users, None]
        if self.kind == "gated":
            return scores
        a, b = self.users[users] @ self.user_map, self.items @ self.item_map
        match: torch.Tensor = a @ b.T if self.kind == "bilinear" else torch.sigmoid(a[:, None] + b) @ self.out
        return scores + match

    def export(self) -> BlendModel:
        """Return plain arrays; scores are divided by Σ|base|, so that boosts keep their unit."""
        values = {name: p.detach().numpy().copy() for name, p in self.named_parameters()}
        base = self._of_all(values["base"])
        unit = np.float32(np.abs(base).sum() or 1.0)
        slopes = {
            name: self._of_all(values[name]) / unit for name in ("by_popularity", "by_activity") if name in values
        }
        bias = float(values["bias"][0] / unit) if "bias" in values else 0.0
        maps = {name: values[name] for name in ("user_map", "item_map", "out") if name in values}
        if "out" in maps:
            maps["out"] = maps["out"] / unit
        elif maps:
            maps["user_map"] = maps["user_map"] / unit
        return BlendModel(
            base / unit, bias=bias, activity_centre=self.centre, activity_scale=self.scale, **slopes, **maps
        )

    def _of_all(self, values: Floats) -> Floats:
        """Return the values of the active sources among all (S,), 0 for the others."""
        out = np.zeros(len(self.active), np.float32)
        out[self.active] = values
        return out


def _minimise(model: _Trainable, loss: ListwiseLoss) -> None:
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=40, line_search_fn="strong_wolfe", tolerance_grad=1e-5)
    bar = progress((), "blend: fit", "gradient")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        value = loss.backward(model)
        bar.update()
        return value

    with bar:
        optimizer.step(closure)  # type: ignore[no-untyped-call]


def _descend(model: _Trainable, loss: ListwiseLoss, epochs: int) -> None:
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in progress(range(epochs), "blend: fit", "epoch"):
        for users in blocks(loss.n_users):
            optimizer.zero_grad()
            share = (min(users.stop, loss.n_users) - users.start) / loss.n_users
            (loss(model, users) / share + loss.penalty(model)).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
