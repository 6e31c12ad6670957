"""Weights for short histories: a smooth function of their length, from users who are in no fit.

For a history of n items the weight of source s is, before the weights are divided by their sum,

    w_s(n) = softplus(θ_s · φ(n)),   φ(n) = (1, 1 / (1 + n), log(1 + n) / log(1 + N))

with N the longest length that was tried. θ minimises the listwise loss of :mod:`tailor.hybrid.blend_fit` over copies of
users whose histories are cut to few items in three ways (:mod:`tailor.data.reveal`). Popularity is then
lifted where lists after the first items in time would lose too much to popularity alone. From a length on that
validation chooses, the score goes over to the model for long histories: from the first item on where most people have
few, so that the model was fitted on such histories, and on more of them than the copies are.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy import sparse

from tailor.data.reveal import REVEALS, Reveal, reveal
from tailor.hybrid.blend import BlendWeights, blend, one_hot, weighted_sum
from tailor.hybrid.blend_fit import ListwiseLoss
from tailor.hybrid.config import BlendOptions, Boosts
from tailor.hybrid.holdout import Holdout
from tailor.hybrid.scorer import HybridScorer
from tailor.hybrid.sources import SOURCES
from tailor.hybrid.training_set import BlendTrainingSet, collect
from tailor.models.base import Floats, Indices, Mask

_POPULAR = "popular"
#: What :func:`choose_lift` multiplies the weight of popularity by, from the least on.
LIFTS = (1.0, 1.5, 2.0, 3.0, 5.0)
#: (last length that has weights of its own alone, first length that takes the model for long histories).
_CROSSOVERS = ((3, 10), (5, 10), (10, 15), (5, 20), (10, 20), (15, 25), (10, 40))
#: Likewise, beside these where half of the people have no more items than this.
_EARLY, _FEW = ((0, 1), (1, 3), (1, 5)), 10
#: Share of the NDCG of long histories that the crossover may cost.
_MOST_LOST = 0.002
_MOST_FOLDS = 10
_STEPS = 40


@dataclass(frozen=True, eq=False)
class Copies:
    """Users whose histories are cut to n items in one way."""

    how: Reveal
    n: int
    data: BlendTrainingSet


@dataclass(frozen=True)
class SmoothWeights:
    """Weights as a function of the length of a history."""

    theta: Floats
    """(S, 3)."""
    factors: Floats
    """What the weights are multiplied by: 0 for sources that have none (S,)."""
    without_history: Mask
    """Sources that say something of users without history (S,)."""
    longest: int
    """N."""

    def of_length(self, n: int) -> Floats:
        """Return the weights (S,) for histories of n items; their sum is 1."""
        x = self.theta @ phi(min(n, self.longest), self.longest)
        weights = np.logaddexp(0, x) * self.factors * (self.without_history if n == 0 else 1)
        return np.asarray(weights / (weights.sum() or 1.0), dtype=np.float32)

    def lifted(self, source: int, factor: float) -> "SmoothWeights":
        """Return the same with one source's weight multiplied."""
        factors = self.factors.copy()
        factors[source] *= factor
        return replace(self, factors=factors)


def phi(n: int, longest: int) -> Floats:
    """Return what weights are linear in, before the softplus (3,)."""
    return np.array([1, 1 / (1 + n), np.log1p(n) / np.log1p(max(longest, 1))], np.float32)


def few_shot_fits(
    scorer: HybridScorer, holdout: Holdout, options: BlendOptions, seed: int
) -> list[tuple[HybridScorer, Holdout]]:
    """Fit the sources without the users that play new ones, with the split that knows who these are.

    Where the users that ``holdout`` keeps out of the fits are fewer than ``few_shot_users``, the sources are fitted
    again without others, so that on a small catalogue all users take part (cross-fitting).

    Args:
        scorer: with sources that were fitted without those users.
        holdout: the validation side of the split.
        options: few_shot_users.
        seed: of who is drawn.

    Returns:
        The scorer itself first; nothing where ``few_shot_share`` keeps nobody out of the fits.
    """
    fits = []
    for users in few_shot_folds(holdout, options.few_shot_users, seed):
        if users is holdout.few_shot_users:
            fits.append((scorer, holdout))
        else:
            part = holdout.with_few_shot_users(users)
            fits.append((scorer.recipe.fit(part.train_set(scorer.item_features)), part))
    return fits


def few_shot_copies(fits: Sequence[tuple[HybridScorer, Holdout]], options: BlendOptions, seed: int) -> list[Copies]:
    """Cut the histories of users that are in no fit, in every way and to every length of ``few_shot_lengths``.

    Of every user what is to be recommended are train and validation rows, over everything but pseudo-cold B.

    Args:
        fits: of :func:`few_shot_fits`.
        options: few_shot_lengths, max_cells.
        seed: of what is drawn.

    Returns:
        One entry per way and length; none where there are no fits.
    """
    if not fits:
        return []
    holdout = fits[0][1]
    hows = REVEALS if holdout.knows_order else ("random",)
    ways: list[tuple[Reveal, int]] = [
        (how, n) for n in sorted(options.few_shot_lengths) for how in hows if n or how != "random" or len(hows) == 1
    ]
    most = max(1, options.max_cells // max(len(fits) * len(ways) * int(holdout.candidates.sum()), 1))
    parts = [[_copies(*fit, n, how, most, seed, options.reads_vectors) for how, n in ways] for fit in fits]
    joined = zip(ways, zip(*parts, strict=True), strict=True)
    copies = [(how, n, [data for data in of_folds if data is not None]) for (how, n), of_folds in joined]
    return [Copies(how, n, BlendTrainingSet.join(data)) for how, n, data in copies if data]


def few_shot_folds(holdout: Holdout, at_least: int, seed: int) -> list[Indices]:
    """Return users to leave out of one fit each: those that ``holdout`` leaves out, then others of the same number.

    As many as give ``at_least`` users together, ten at most.
    """
    size = len(holdout.few_shot_users)
    if not size:
        return []
    known = np.flatnonzero(np.diff(holdout.histories.history.indptr) > 0)
    others = np.random.default_rng([seed, 4]).permutation(np.setdiff1d(known, holdout.few_shot_users))
    n_folds = min(-(-at_least // size), _MOST_FOLDS, 1 + len(others) // size)
    drawn = [np.sort(others[start : start + size]) for start in range(0, (n_folds - 1) * size, size)]
    return [holdout.few_shot_users, *drawn]


def _copies(
    scorer: HybridScorer, holdout: Holdout, n: int, how: Reveal, most: int, seed: int, vectors: bool
) -> BlendTrainingSet | None:
    """Return the few-shot users with n items of each revealed; None where nothing is left to recommend."""
    cut = reveal(holdout.reveal_order[holdout.few_shot_users], n, how, seed)
    rows = np.flatnonzero(np.diff(cut.hidden.indptr) > 0)
    if len(rows) > most:
        rows = np.sort(np.random.default_rng([seed, 2]).permutation(rows)[:most])
    if not len(rows):
        return None
    users, known = holdout.few_shot_users[rows], sparse.csr_matrix(cut.known[rows])
    query = holdout.as_if_taken(users, known)
    items = holdout.candidates & ~holdout.cold
    seen, hidden = sparse.csr_matrix(cut.seen[rows]), sparse.csr_matrix(cut.hidden[rows])
    return collect(scorer, query, seen, hidden, items, holdout.tie_rank, vectors)


def fit_few_shot_weights(
    copies: Sequence[Copies],
    weights: BlendWeights,
    known: BlendTrainingSet,
    options: BlendOptions,
    k: int,
    excluded: tuple[str, ...] = (),
) -> BlendWeights:
    """Fit the weights for short histories, and where they go over to those of long ones.

    Args:
        copies: of :func:`few_shot_copies`.
        weights: what is fitted already.
        known: the users with validation rows over warm items: long histories as they are.
        options: l2, max_few_shot_loss.
        k: cut-off of what is chosen.
        excluded: sources that may have no weight.

    Returns:
        The weights with one entry per length up to the crossover; the same weights where nobody can be tried.
    """
    smooth = fit_smooth(copies, options.l2, excluded)
    if smooth is None:
        return weights
    chosen = choose_lift(smooth, copies, options.max_few_shot_loss, k)
    ways = [_tabulate(chosen, weights, *crossover) for crossover in crossovers(known.meta.lengths)]
    of_known = [_of_lengths(way, known, k) for way in ways]
    limit = (1 - _MOST_LOST) * max(of_known)
    good = [way for way, value in zip(ways, of_known, strict=True) if value >= limit]
    least = least_after_first(copies, options.max_few_shot_loss, k)
    safe = [way for way in good if _of_copies(way, after_first(copies), k) >= least]
    return max(safe or good, key=lambda way: (round(_of_copies(way, copies, k), 6), len(way.few_shot)))


def crossovers(lengths: Indices) -> tuple[tuple[int, int], ...]:
    """Return between which lengths the score may go over, by those of the histories that people have (U,).

    Where half of them have ten items or fewer, from the first item on too: the model for long histories was fitted on
    short ones then. Elsewhere whoever has few is a light user, and whoever is new may become a heavy one.
    """
    few = len(lengths) and np.median(lengths) <= _FEW
    return (*_EARLY, *_CROSSOVERS) if few else _CROSSOVERS


def fit_smooth(copies: Sequence[Copies], l2: float, excluded: tuple[str, ...] = ()) -> SmoothWeights | None:
    """Return the weights at the minimum of the loss; None where no source tells items apart."""
    if not copies:
        return None
    active = np.any([part.data.active_mask(excluded) for part in copies], axis=0)
    if not active.any():
        return None
    longest = max(part.n for part in copies)
    losses = [(ListwiseLoss(part.data, 0.0, active), torch.from_numpy(phi(part.n, longest))) for part in copies]
    theta = fit_softplus(losses, int(active.sum()), l2)
    of_all = np.zeros((len(active), theta.shape[1]), np.float32)
    of_all[active] = theta
    sources = copies[0].data.sources
    without_history = np.array([not SOURCES[name].reads_history for name in sources])
    return SmoothWeights(of_all, active.astype(np.float32), without_history, longest)


def fit_softplus(losses: Sequence[tuple[ListwiseLoss, torch.Tensor]], n_sources: int, l2: float) -> Floats:
    """Return θ (F, p) that minimises the mean of the losses of softplus(θ φ) by L-BFGS, from -1 for every source.

    Args:
        losses: of training sets of F sources each, with their φ (p,).
        n_sources: F.
        l2: weight of |θ|².
    """
    theta = torch.zeros(n_sources, len(losses[0][1]))
    theta[:, 0] = -1.0
    theta.requires_grad_()
    optimizer = torch.optim.LBFGS([theta], max_iter=_STEPS, line_search_fn="strong_wolfe", tolerance_grad=1e-6)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        total = torch.zeros(())
        for loss, features in losses:

            def score(z: torch.Tensor, _: slice, features: torch.Tensor = features) -> torch.Tensor:
                weights = torch.nn.functional.softplus(theta @ features)
                return (weights @ z.flatten(1)).view(z.shape[1:])

            total += loss.add_gradients(score, 1 / len(losses))
        penalty = l2 * (theta**2).sum()
        penalty.backward()  # type: ignore[no-untyped-call]
        return total + penalty.detach()

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    return np.asarray(theta.detach().numpy(), dtype=np.float32)


def choose_lift(smooth: SmoothWeights, copies: Sequence[Copies], max_loss: float, k: int) -> SmoothWeights:
    """Return the weights with popularity lifted, where lists after the first items lose too much to it.

    After the first items in time, or the only way there is, lists must have (1 - max_loss) x the NDCG@k of popularity.
    Of the lifts that have, the one with the highest NDCG over all ways and lengths; where none has, popularity alone.
    """
    sources = copies[0].data.sources
    tried, first = [part for part in copies if part.n], after_first(copies)
    if _POPULAR not in sources or not smooth.factors[sources.index(_POPULAR)] or not tried:
        return smooth
    place, limit = sources.index(_POPULAR), least_after_first(copies, max_loss, k)
    lifted = [smooth.lifted(place, lift) for lift in LIFTS]
    good = [weights for weights in lifted if _mean(first, weights, k) >= limit]
    alone = replace(smooth, factors=one_hot(_POPULAR, sources))
    return max(good, key=lambda weights: _mean(tried, weights, k), default=alone)


def after_first(copies: Sequence[Copies]) -> list[Copies]:
    """Return the copies with the first items in time; where no time is known those of the only way there is."""
    tried = [part for part in copies if part.n]
    return [part for part in tried if part.how == tried[0].how]


def least_after_first(copies: Sequence[Copies], max_loss: float, k: int) -> float:
    """Return (1 - max_loss) x the NDCG@k of popularity after the first items; 0 without popularity."""
    first = after_first(copies)
    if not first or _POPULAR not in first[0].data.sources:
        return 0.0
    popular = one_hot(_POPULAR, first[0].data.sources)
    return (1 - max_loss) * float(np.mean([_mean_ndcg(part, popular, k) for part in first]))


def _mean(copies: Sequence[Copies], weights: SmoothWeights, k: int) -> float:
    return float(np.mean([_mean_ndcg(part, weights.of_length(part.n), k) for part in copies]))


def _mean_ndcg(part: Copies, weights: Floats, k: int) -> float:
    return part.data.mean_ndcg(weighted_sum(list(part.data.z), weights), k)


def _tabulate(smooth: SmoothWeights, weights: BlendWeights, last_own: int, first_warm: int) -> BlendWeights:
    """Return ``weights`` with an entry for each length below ``first_warm``."""
    lengths = np.arange(first_warm)
    ends = np.log1p([last_own, first_warm])
    shares = np.clip((np.log1p(lengths) - ends[0]) / (ends[1] - ends[0]), 0, 1)
    table = tuple((int(n), smooth.of_length(int(n))) for n in lengths)
    return replace(weights, few_shot=table, warm_shares=tuple(shares.tolist()))


def _of_copies(weights: BlendWeights, copies: Sequence[Copies], k: int) -> float:
    return float(np.mean([_of_lengths(weights, part.data, k) for part in copies if part.n] or [0.0]))


def _of_lengths(weights: BlendWeights, data: BlendTrainingSet, k: int) -> float:
    every = np.ones(data.z.shape[2], dtype=bool)
    return data.mean_ndcg(blend(list(data.z), weights, Boosts(), every, ~every, data.meta), k)


def fit_nonnegative(data: BlendTrainingSet, l2: float, excluded: tuple[str, ...] = ()) -> Floats:
    """Return weights (S,) >= 0 of sum 1 at the minimum of the loss; equal ones where nobody wants anything."""
    active = data.active_mask(excluded)
    if not active.any() or not data.positives.nnz:
        return np.asarray(active / max(active.sum(), 1), dtype=np.float32)
    theta = fit_softplus([(ListwiseLoss(data, 0.0, active), torch.ones(1))], int(active.sum()), l2)
    weights = np.zeros(len(active), np.float32)
    weights[active] = np.logaddexp(0, theta[:, 0])
    return np.asarray(weights / weights.sum(), dtype=np.float32)
