"""`make bench-elicitation`: are the questions that a new visitor is asked worth more than asking about popular items?

Users who are in no fit play visitors: asked about an item, they like it if they have taken it, and else do not know.
Two interviews are compared, that of `GET /elicit` and one about the most popular items, each until five items are
liked (60 questions at most), and after equal numbers of questions. NDCG@20 counts what they have taken and neither
interview has asked about; lists leave out what either has. Lists are those of the hybrid at its operating point, on
embeddings of the frozen encoder, with the first option set of `hybrid_cf.trials`.

The design was chosen on validation's few-shot users (``validation``); the new users of the split are in ``headline``.
"""

import json
import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from catalogues import NAMES, RESULTS, Catalogue, about, prepare, rounded, write
from cold_start import embed_frozen
from numpy.typing import NDArray
from scipy import sparse
from threadpoolctl import threadpool_limits

from tailor import columns as c
from tailor.evaluation.protocol import NewUserProtocol
from tailor.hybrid.elicit import choose_items
from tailor.hybrid.model import Hybrid
from tailor.hybrid.operating_point import fit_blend
from tailor.hybrid.scorer import HybridScorer
from tailor.metrics.accuracy import hits, ndcg
from tailor.metrics.significance import paired_bootstrap
from tailor.models.base import Embeds, Query
from tailor.models.listing import recommend

K, MOST = 20, 60
#: Seeds by environment: anime has enough new users for one.
SEEDS = {"base": (0, 1, 2), "anime": (0,)}
RESULT = RESULTS / "elicitation.json"
#: Interviews: until so many are liked, or that many questions long.
RULES = {"answers_5": (5, MOST), "questions_12": (MOST, 12), "questions_20": (MOST, 20)}
NOISES = (0.02, 0.1, 0.2, 0.5)
TARGETS = {"*_answers_5_difference": ">= 0: elicited answers less those about the most popular items"}
Order = NDArray[np.int64]
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Visitors:
    """People who are asked, and the model that lists for them."""

    model: HybridScorer
    fitted: sparse.csr_matrix
    """What the model was fitted on, 0/1 (U, n_items): how popular items are."""
    warm: NDArray[np.bool_]
    taken: NDArray[np.bool_]
    """What the visitors have taken (N, n_items)."""
    profiles: NDArray[np.float32]
    tie_rank: Order
    ordered: bool

    @property
    def counts(self) -> Order:
        """Users of the fit by item (n_items,)."""
        return np.bincount(self.fitted.indices, minlength=len(self.warm))

    def elicited(self, noise: float | None = None) -> Order:
        """Return the items that ``GET /elicit`` asks about, at its own noise or another one."""
        other = {} if noise is None else {"noise": noise}
        return choose_items(self.fitted, self.warm, MOST, **other)

    def popular(self) -> Order:
        """Return the most popular items."""
        order = np.lexsort((self.tie_rank, -self.counts))
        return order[self.warm[order]][:MOST]

    def d_optimal(self) -> Order:
        """Return the items of the former design: argmax log det(I + Σ p_i v_i v_iᵀ) over the factors, greedily."""
        spaces = [model.item_vectors for model in self.model.sources.values() if isinstance(model, Embeds)]
        items = np.flatnonzero(self.warm)
        known = self.counts[items] / (np.diff(self.fitted.indptr) > 0).sum()
        vectors = np.asarray(spaces[0], np.float64)[items]
        vectors /= np.sqrt((vectors**2).mean())
        inverse, chosen = np.eye(vectors.shape[1]), list[int]()
        for _ in range(MOST):
            gains = known * np.einsum("id,de,ie->i", vectors, inverse, vectors, optimize=True)
            gains[chosen] = -1
            best = int(gains.argmax())
            direction = inverse @ vectors[best]
            inverse -= known[best] * np.outer(direction, direction) / (1 + gains[best])
            chosen.append(best)
        return items[chosen]

    def length(self, order: Order, rule: str) -> Order:
        """Return how many questions each visitor is asked (N,)."""
        likes, most = RULES[rule]
        enough = np.cumsum(self.taken[:, order[:most]], axis=1) >= likes
        return np.where(enough.any(axis=1), enough.argmax(axis=1) + 1, min(most, len(order)))

    def asked(self, order: Order, lengths: Order) -> NDArray[np.int64]:
        """Return the number of the question about each item, 0 where there is none (N, n_items)."""
        numbers = np.zeros(self.taken.shape, np.int64)
        numbers[:, order] = np.where(np.arange(len(order)) < lengths[:, None], np.arange(len(order)) + 1, 0)
        return numbers

    def lists(self, numbers: NDArray[np.int64], left_out: sparse.csr_matrix) -> Order:
        """Return lists (N, K) for what was liked of the items that were asked about (N, n_items)."""
        liked = sparse.csr_matrix(np.where(self.taken, numbers, 0), dtype=np.float32)
        query = Query.of(liked, liked if self.ordered else None, profile=self.profiles)
        return recommend(self.model, query, left_out, {c.WARM: self.warm}, K, self.tie_rank)[c.WARM][0]

    def compare(self, ours: Order, theirs: Order, rule: str) -> dict[str, Values]:
        """Return NDCG of both interviews, and their lengths and likes, by visitor (N,)."""
        numbers = [self.asked(order, self.length(order, rule)) for order in (ours, theirs)]
        either = (numbers[0] > 0) | (numbers[1] > 0)
        hidden = sparse.csr_matrix((self.taken & ~either).astype(np.float32))
        found = {}
        for name, of_one in zip(("elicited", "popular"), numbers, strict=True):
            lists = self.lists(of_one, sparse.csr_matrix(either))
            found[name] = ndcg(hits(lists, hidden), np.diff(hidden.indptr), K)
            found[f"{name}_questions"] = (of_one > 0).sum(axis=1).astype(float)
            found[f"{name}_likes"] = ((of_one > 0) & self.taken).sum(axis=1).astype(float)
        return found


def visitors(catalogue: Catalogue) -> tuple[Visitors, Visitors]:
    """Return validation's few-shot users, and the new users of the split, each with a model that they are not in."""
    vectors, holdout = embed_frozen(catalogue), catalogue.holdout()
    options, seed = catalogue.hybrid_options, catalogue.seed
    recipe = Hybrid(options.hybrid_config(options.trials["hybrid"][0]), seed)
    scorer = recipe.fit(holdout.train_set(vectors))
    chosen = fit_blend(scorer, holdout, options.blend, options.k, seed)
    held_out = scorer.with_blend(chosen.weights).with_boosts(chosen.boosts)
    train = catalogue.matrix(c.TRAIN)
    final = held_out.recipe.fit(catalogue.train_set(train, catalogue.warm, vectors))
    data, few = catalogue.data, holdout.few_shot_users
    matrices = (data["new_user_matrix"], data["reveal_order_matrix"])
    new = NewUserProtocol.build(catalogue.users, catalogue.items, *matrices, data["side_features"])
    taken = [(holdout.reveal_order[few].toarray() > 0) & holdout.warm, (new.order.toarray() > 0) & catalogue.warm]
    rest = (catalogue.tie_rank, holdout.knows_order)
    of_few = Visitors(held_out, holdout.interactions, holdout.warm, taken[0], holdout.histories.profile[few], *rest)
    return of_few, Visitors(final, train, catalogue.warm, taken[1], new.profiles, *rest)


def joined(people: list[Visitors], order_of: Callable[[Visitors], Order], rule: str) -> dict[str, float]:
    """Return the figures of one design under one rule: over the visitors of all seeds."""
    with threadpool_limits(1):
        found = [one.compare(order_of(one), one.popular(), rule) for one in people]
    values = {name: np.concatenate([each[name] for each in found]) for name in found[0]}
    compared = paired_bootstrap(values["elicited"], values["popular"])
    means = {name: float(np.nanmean(of_visitors)) for name, of_visitors in values.items()}
    return means | {"difference": compared.difference, "low": compared.low, "high": compared.high}


def one_catalogue(env: str, seeds: tuple[int, ...]) -> tuple[dict[str, float], dict[str, float]]:
    """Return the figures of the new users, and those of validation that the design was chosen by."""
    people = [visitors(prepare(env, seed)) for seed in seeds]
    few, new = [one for one, _ in people], [one for _, one in people]
    headline, validation = dict[str, float](), dict[str, float]()
    designs: dict[str, Callable[[Visitors], Order]] = {"d_optimal": Visitors.d_optimal}
    designs |= {f"noise_{noise}": lambda one, noise=noise: one.elicited(noise) for noise in NOISES}  # type: ignore[misc]
    for rule in RULES:
        figures = joined(new, Visitors.elicited, rule)
        headline |= {f"{NAMES[env]}_{rule}_{name}": value for name, value in figures.items()}
        for design, order_of in designs.items():
            figures = joined(few, order_of, rule)
            part = {name: figures[name] for name in ("elicited", "difference", "low", "high")}
            validation |= {f"{NAMES[env]}_{rule}_{design}_{name}": value for name, value in part.items()}
    return rounded(headline), rounded(validation)


def main() -> None:
    """Measure every catalogue, or those named on the command line; write as each is done."""
    logging.disable(logging.INFO)
    earlier: dict[str, Any] = json.loads(RESULT.read_text()) if RESULT.is_file() and sys.argv[1:] else {}
    headline, validation, commits = (earlier.get(name, {}) for name in ("headline", "validation", "commits"))
    for env in sys.argv[1:] or SEEDS:
        figures, of_validation = one_catalogue(env, SEEDS[env])
        headline, validation = headline | figures, validation | of_validation
        made = about("make bench-elicitation", list(SEEDS["base"]))
        commits = commits | {NAMES[env]: made["commit"]}
        size = {"k": K, "most_questions": MOST} | {f"{NAMES[name]}_seeds": len(seeds) for name, seeds in SEEDS.items()}
        result = {"headline": headline, "targets": TARGETS, "validation": validation, "size": size, "commits": commits}
        write(RESULT, result | made)
    print(json.dumps(headline, indent=2))


if __name__ == "__main__":
    main()
