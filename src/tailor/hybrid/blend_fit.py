"""Learning how to mix: softmax over the whole catalogue, on validation rows, in blocks of users.

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
from numpy.typing import NDArray
from scipy import sparse

from tailor.data.interactions import keep_items
from tailor.hybrid.blend import SOURCES, BlendModel, MetaFeatures, only
from tailor.metrics.accuracy import hits, ndcg
from tailor.models.base import Floats, Mask
from tailor.options import BlendKind, MixtureOptions
from tailor.threads import blocks, in_threads
from tailor.topk import EXCLUDED, top_k

#: Standardised scores no further apart than this are equal.
_SAME = 1e-5
#: Users that the climb looks at, its steps (weights sum to 1 in absolute value) and its passes per step.
_CLIMBERS, _STEPS, _PASSES = 2000, (0.4, 0.2, 0.1, 0.05), 4


@dataclass(frozen=True)
class BlendTrainingSet:
    """Standardised scores of some users over some items, and what the users want of them."""

    z: Floats
    """(S, U, n)."""
    shown: Mask
    """What lists may hold (U, n)."""
    positives: sparse.csr_matrix
    """(U, n)."""
    meta_features: MetaFeatures
    tie_rank: NDArray[np.int64]
    """(n,)."""

    def take(self, rows: NDArray[np.int64]) -> "BlendTrainingSet":
        """Return some of the users."""
        positives, meta_features = sparse.csr_matrix(self.positives[rows]), self.meta_features.rows(rows)
        return replace(
            self, z=self.z[:, rows], shown=self.shown[rows], positives=positives, meta_features=meta_features
        )

    def columns(self, items: Mask) -> "BlendTrainingSet":
        """Return some of the items, and the users who want one of them."""
        positives = sparse.csr_matrix(self.positives[:, np.flatnonzero(items)])
        users, s = np.flatnonzero(np.diff(positives.indptr) > 0), self.meta_features
        meta_features = replace(s, popularity=s.popularity[items], items=s.items[items] if s.items.size else s.items)
        part = replace(
            self,
            z=np.take(self.z, np.flatnonzero(items), axis=2),
            shown=self.shown[:, items],
            positives=positives,
            meta_features=meta_features,
            tie_rank=self.tie_rank[items],
        )
        return part if len(users) == self.z.shape[1] else part.take(users)

    def silent(self) -> tuple[str, ...]:
        """Return the sources that tell no two of these items apart, for any of these users."""
        return tuple(
            name
            for name, scores in zip(SOURCES, self.z, strict=True)
            if not scores.any() or np.ptp(scores, axis=1).max() < _SAME
        )

    def measure(self, scores: Floats, k: int, items: Mask | None = None) -> NDArray[np.float64]:
        """Return each user's NDCG@k (U,) of lists by ``scores`` (U, n); ``items``: only these positives count."""
        return self.by_block(lambda block: np.where(self.shown[block], scores[block], EXCLUDED), k, items)

    def coverage(self, scores: Floats, k: int) -> float:
        """Return the share of the items that stand on a list of k by ``scores`` (U, n)."""

        def listed(block: slice) -> NDArray[np.int64]:
            return np.unique(top_k(np.where(self.shown[block], scores[block], EXCLUDED), k, self.tie_rank)[0])

        found = np.concatenate([np.zeros(0, np.int64), *in_threads(listed, blocks(len(scores)))])
        return float((np.unique(found) >= 0).sum() / max(scores.shape[1], 1))

    def by_block(self, allowed: Callable[[slice], Floats], k: int, items: Mask | None = None) -> NDArray[np.float64]:
        """Return what :meth:`measure` does, of scores (b, n) that ``allowed`` makes for a slice of the users."""
        truth = self.positives if items is None else keep_items(self.positives, items)

        def listed(block: slice) -> NDArray[np.bool_]:
            return hits(top_k(allowed(block), k, self.tie_rank)[0], sparse.csr_matrix(truth[block]))

        found = list(in_threads(listed, blocks(truth.shape[0])))
        return ndcg(np.vstack(found) if found else np.zeros((0, k), bool), np.diff(truth.indptr), k)


class _Loss:
    """The loss of one set of cells, in blocks, with gradients; of the sources that may speak alone."""

    def __init__(self, cells: BlendTrainingSet, l2: float, free: NDArray[np.bool_]) -> None:
        self.cells, self.l2 = cells, l2
        self.z = torch.from_numpy(cells.z if free.all() else cells.z[free])
        self.hidden = torch.from_numpy(~cells.shown)
        counts = np.diff(cells.positives.indptr)
        self.row = torch.from_numpy(np.repeat(np.arange(len(counts)), counts))
        self.column = torch.from_numpy(cells.positives.indices.astype(np.int64))
        self.weight = torch.from_numpy((1 / np.maximum(np.repeat(counts, counts), 1)).astype(np.float32))
        self.bounds = cells.positives.indptr
        self.n_users = len(counts)

    def __call__(self, model: "_Model", users: slice) -> torch.Tensor:
        """Return the sum over a block of users / all users."""
        scores = model(self.z[:, users], users).masked_fill(self.hidden[users], -1e9)
        cells = slice(int(self.bounds[users.start]), int(self.bounds[min(users.stop, self.n_users)]))
        log_p = torch.log_softmax(scores, dim=1)[self.row[cells] - users.start, self.column[cells]]
        return -(log_p * self.weight[cells]).sum() / self.n_users

    def backward(self, model: "_Model") -> torch.Tensor:
        """Add the gradients of the whole loss; return it."""
        total = torch.zeros(())
        for users in blocks(self.n_users):
            loss = self(model, users)
            loss.backward()  # type: ignore[no-untyped-call]
            total += loss.detach()
        penalty = self.penalty(model)
        penalty.backward()  # type: ignore[no-untyped-call]
        return total + penalty.detach()

    def penalty(self, model: "_Model") -> torch.Tensor:
        return self.l2 * torch.stack([(p**2).sum() for p in model.parameters()]).sum()


class _Model(torch.nn.Module):
    """:class:`tailor.hybrid.blend.Fusion` with gradients, of the sources that may speak (F of S)."""

    def __init__(self, kind: BlendKind, cells: BlendTrainingSet, free: NDArray[np.bool_], rank: int, seed: int) -> None:
        super().__init__()
        self.kind, meta_features = kind, cells.meta_features
        self.free = free
        self.centre, self.scale = float(meta_features.activity.mean()), float(meta_features.activity.std()) or 1.0
        self.activity = torch.from_numpy((meta_features.activity - self.centre) / self.scale)
        self.popularity = torch.from_numpy(meta_features.popularity)
        n = int(free.sum())
        self.base = torch.nn.Parameter(torch.full((n,), 1.0 / len(free)))
        if kind != "linear":
            self.by_popularity = torch.nn.Parameter(torch.zeros(n))
            self.by_activity = torch.nn.Parameter(torch.zeros(n))
            self.bias = torch.nn.Parameter(torch.zeros(1))
        if kind in ("bilinear", "deep"):
            generator = torch.Generator().manual_seed(seed)
            self.users, self.items = torch.from_numpy(meta_features.users), torch.from_numpy(meta_features.items)

            def start(width: int) -> torch.nn.Parameter:
                return torch.nn.Parameter(torch.randn(width, rank, generator=generator) * 0.1)

            self.user_map, self.item_map = start(self.users.shape[1]), start(self.items.shape[1])
        if kind == "deep":
            self.out = torch.nn.Parameter(torch.zeros(rank))

    def forward(self, z: torch.Tensor, users: slice) -> torch.Tensor:
        """Return scores (b, n) from z (F, b, n); one pass over z, whatever its weights depend on."""
        if self.kind == "linear":
            return (self.base @ z.flatten(1)).view(z.shape[1:])
        weights = torch.stack([self.base, self.by_popularity, self.by_activity])
        plain, by_item, by_user = (weights @ z.flatten(1)).view(3, *z.shape[1:])
        scores = plain + (by_item + self.bias) * self.popularity + by_user * self.activity[users, None]
        if self.kind == "gated":
            return scores
        a, b = self.users[users] @ self.user_map, self.items @ self.item_map
        if self.kind == "bilinear":
            return scores + a @ b.T
        return scores + torch.sigmoid(a[:, None] + b) @ self.out

    def export(self) -> BlendModel:
        """Return plain arrays; scores are divided by Σ|base|, so that boosts keep their unit."""
        values = {name: p.detach().numpy().copy() for name, p in self.named_parameters()}

        def of_all(name: str) -> Floats:
            out = np.zeros(len(self.free), np.float32)
            out[self.free] = values[name]
            return out

        base = of_all("base")
        unit = np.float32(np.abs(base).sum() or 1.0)
        slopes = {name: of_all(name) / unit for name in ("by_popularity", "by_activity") if name in values}
        bias = float(values["bias"][0] / unit) if "bias" in values else 0.0
        maps = {name: values[name] for name in ("user_map", "item_map", "out") if name in values}
        if "out" in maps:
            maps["out"] = maps["out"] / unit
        elif maps:
            maps["user_map"] = maps["user_map"] / unit
        return BlendModel(
            base / unit, bias=bias, activity_centre=self.centre, activity_scale=self.scale, **slopes, **maps
        )


def fit(
    cells: BlendTrainingSet,
    kind: BlendKind,
    options: MixtureOptions,
    seed: int,
    without: tuple[str, ...] = (),
    climb_to: int | None = None,
) -> BlendModel:
    """Fit one member of the family.

    Args:
        cells: what to rank, for whom.
        kind: ``linear`` and ``gated`` are fitted by L-BFGS to the optimum, the others by Adam for ``options.epochs``.
        options: l2, rank, epochs.
        seed: of the start of ``bilinear`` and ``deep``.
        without: sources whose weights stay 0, as those do that tell no two items apart.
        climb_to: k of the NDCG@k that the weights of ``linear`` climb in the end; None: they stay at the loss' optimum.
    """
    free = active_mask(cells, without)
    if not cells.positives.nnz or not free.any():
        return BlendModel(np.array(free / max(free.sum(), 1), np.float32))
    model, loss = _Model(kind, cells, free, options.rank, seed), _Loss(cells, options.l2, free)
    if kind in ("linear", "gated"):
        _to_the_optimum(model, loss)
    else:
        _for_some_epochs(model, loss, options.epochs)
    found = model.export()
    return coordinate_ascent(cells, found, climb_to, free) if kind == "linear" and climb_to else found


def active_mask(cells: BlendTrainingSet, without: tuple[str, ...]) -> NDArray[np.bool_]:
    """Mark the sources (S,) that may have a weight: not left out, and telling items apart."""
    left_out = {*without, *cells.silent()}
    return np.array([name not in left_out for name in SOURCES])


def coordinate_ascent(cells: BlendTrainingSet, fusion: BlendModel, k: int, free: NDArray[np.bool_]) -> BlendModel:
    """Return a ``linear`` fusion with ``base`` (S,) at a local maximum of mean NDCG@k; only ``free`` sources move.

    Looks at ``_CLIMBERS`` evenly spaced users at most. A step reads the scores so far and one source, not all.
    """
    n = cells.z.shape[1]
    part = cells if n <= _CLIMBERS else cells.take(np.linspace(0, n - 1, _CLIMBERS).astype(np.int64))
    z, places = list(part.z), np.flatnonzero(free)

    def scored(base: Floats) -> Floats:
        return np.where(part.shown, BlendModel(base).score(z, part.meta_features), EXCLUDED)

    def measured(scores: Floats) -> float:
        return float(np.nanmean(part.by_block(lambda block: scores[block], k)))

    def after(s: int, step: float) -> float:
        return float(np.nanmean(part.by_block(lambda block: scores[block] + np.float32(step) * z[s][block], k)))

    starts = [(measured(scored(base)), base) for base in (fusion.base, *(only(SOURCES[s]) for s in places))]
    best, base = max(starts, key=lambda start: start[0])
    scores = scored(base)
    moves = [(int(s), sign) for s in places for sign in (1, -1)]
    for step in _STEPS:
        for _ in range(_PASSES):
            before = best
            for s, sign in moves:
                value = after(s, sign * step)
                if value > best:
                    base = base.copy()
                    base[s] += sign * step
                    length = np.float32(np.abs(base).sum() or 1.0)
                    scores += np.float32(sign * step) * z[s]
                    scores /= length
                    best, base = value, base / length
            if best == before:
                break
    return replace(fusion, base=base)


def _to_the_optimum(model: _Model, loss: _Loss) -> None:
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=40, line_search_fn="strong_wolfe", tolerance_grad=1e-5)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        return loss.backward(model)

    optimizer.step(closure)  # type: ignore[no-untyped-call]


def _for_some_epochs(model: _Model, loss: _Loss, epochs: int) -> None:
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(epochs):
        for users in blocks(loss.n_users):
            optimizer.zero_grad()
            share = (min(users.stop, loss.n_users) - users.start) / loss.n_users
            (loss(model, users) / share + loss.penalty(model)).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
