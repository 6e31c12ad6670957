"""`make bench-stability`: how far the headlines of the hybrid move where the training rows come in another order.

Rows of a file may come in any order: tables are sorted, so that figures are equal to the last digit
(tests/unit/data/test_reordered.py). Here the users themselves change places in every fit: sums are taken in
another order, and the factorization starts each user elsewhere. Weights, cold shift and boosts are chosen anew each
time. Frozen encoder, the first option set of ``hybrid_cf.trials``, test lists.
"""

import json
import sys
from dataclasses import dataclass, fields, replace

import numpy as np
from catalogues import NAMES, RESULTS, Catalogue, about, known_user_ndcg, new_user_ndcg, prepare, rounded, write
from cold_start import embed_frozen
from scipy import sparse

from tailor import columns as c
from tailor.hybrid.holdout import Holdout
from tailor.hybrid.model import Hybrid
from tailor.hybrid.operating_point import fit_blend
from tailor.models.base import Contexts, Csr, Floats, TrainSet

K, SEED, ORDERS, LENGTHS = 20, 0, 5, (1, 3, 5)
TARGETS = {"*_spread": "<= 0.005: the largest distance from the mean of all orders, as a share of it"}


def reordered(data: TrainSet, order: int) -> TrainSet:
    """Return the same data with users in another order; 0: as they are."""
    if not order:
        return data
    rows = np.random.default_rng([order, 8]).permutation(data.interactions.shape[0])
    place = np.argsort(rows)

    def of(matrix: Csr | None) -> Csr | None:
        return None if matrix is None else sparse.csr_matrix(matrix[rows])

    contexts = Contexts(place[data.contexts.users], data.contexts.items, data.contexts.values)
    matrices = {name: of(getattr(data, name)) for name in ("interactions", "order", "confidence")}
    return replace(data, **matrices, profiles=data.profiles[rows], contexts=contexts)


@dataclass(frozen=True)
class ReorderedHoldout(Holdout):
    """The validation side, every fit of which sees its users in another order."""

    place: int = 0

    @classmethod
    def of(cls, holdout: Holdout, place: int) -> "ReorderedHoldout":
        """Return the same holdout under one order."""
        return cls(**{field.name: getattr(holdout, field.name) for field in fields(Holdout)}, place=place)

    def train_set(self, item_features: Floats) -> TrainSet:
        """See :meth:`Holdout.train_set`."""
        return reordered(super().train_set(item_features), self.place)


def one_order(catalogue: Catalogue, vectors: Floats, order: int) -> dict[str, float]:
    """Return the headlines of the hybrid that saw its users in one order."""
    options, holdout = catalogue.hybrid_options, ReorderedHoldout.of(catalogue.holdout(), order)
    recipe = Hybrid(options.hybrid_config(options.trials["hybrid"][0]), SEED)
    chosen = fit_blend(recipe.fit(holdout.train_set(vectors)), holdout, options.blend, options.k, SEED)
    train = reordered(catalogue.train_set(catalogue.matrix(c.TRAIN), catalogue.warm, vectors), order)
    model = recipe.with_blend(chosen.weights).with_boosts(chosen.boosts).fit(train)
    per_user = known_user_ndcg(catalogue, model, catalogue.test_rules, K) | new_user_ndcg(catalogue, model, LENGTHS, K)
    return {name: float(np.nanmean(values)) for name, values in per_user.items()}


def one_catalogue(env: str) -> dict[str, float]:
    """Return means and spreads over the order as it is and five others."""
    catalogue = prepare(env, SEED)
    vectors = embed_frozen(catalogue)
    runs = [one_order(catalogue, vectors, order) for order in range(ORDERS + 1)]
    result = {}
    for name in runs[0]:
        values = np.array([run[name] for run in runs])
        result[name] = float(values.mean())
        result[f"{name}_spread"] = float(np.abs(values / values.mean() - 1).max())
    return {f"{NAMES[env]}_{name}": value for name, value in rounded(result).items()}


def main() -> None:
    """Measure the catalogues named on the command line, else MovieLens-100K."""
    headline: dict[str, float] = {}
    for env in sys.argv[1:] or ["base"]:
        headline |= one_catalogue(env)
    size = {"k": K, "orders": ORDERS + 1}
    about_it = about("make bench-stability", [SEED])
    write(RESULTS / "stability.json", {"headline": headline, "targets": TARGETS, "size": size} | about_it)
    print(json.dumps(headline, indent=2))


if __name__ == "__main__":
    main()
