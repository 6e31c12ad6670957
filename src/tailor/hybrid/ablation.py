"""What each part of the hybrid is worth: blends with parts left out, each fitted on validation like the whole."""

from itertools import combinations

import numpy as np

from tailor.hybrid import blend_fit
from tailor.hybrid.blend import BlendModel, BlendWeights
from tailor.hybrid.config import BlendOptions, Boosts
from tailor.hybrid.few_shot import few_shot_copies, few_shot_fits, fit_few_shot_weights
from tailor.hybrid.holdout import Holdout
from tailor.hybrid.operating_point import (
    best_cold_shift,
    fit_cold_weights,
    fit_on_more,
    known_users,
    more_users,
)
from tailor.hybrid.scorer import HybridScorer
from tailor.hybrid.training_set import BlendTrainingSet


def variants(
    scorer: HybridScorer, holdout: Holdout, options: BlendOptions, k: int, seed: int
) -> dict[str, HybridScorer]:
    """Return scorers on the same fitted sources: each source alone, each pair, all, and all with one part off.

    ``linear`` are all sources with linear weights, ``without NAME`` all but one with the same: what each adds to the
    others.

    Sources that tell no items apart in this catalogue are left out.

    * ``all``: the scorer as it is.
    * ``boosts off``: the accuracy ranking.
    * ``blend off``: weights that depend on neither popularity, activity nor history length.
    * ``equal weights``: nothing is fitted but the shift of cold items.

    Args:
        scorer: fitted without pseudo-cold B, at its operating point.
        holdout: the validation side of the split.
        options: as the blend was fitted with.
        k: cut-off that the shift is chosen at.
        seed: of everything drawn.
    """
    plain = options.model_copy(update={"models": ["linear"], "steps": 1})
    known = known_users(scorer, holdout, plain, seed)
    of_warm = known.columns(~holdout.cold[holdout.candidates])
    copies = few_shot_copies(few_shot_fits(scorer, holdout, plain, seed), plain, seed)

    more = more_users(scorer, holdout, known, plain.max_cells)

    def shifted(weights: BlendWeights) -> HybridScorer:
        shift = best_cold_shift(scorer, weights, known, holdout, plain, k)
        return scorer.with_blend(weights.shifted(shift)).with_boosts(Boosts())

    def of(selected: tuple[str, ...]) -> HybridScorer:
        excluded = tuple(name for name in known.sources if name not in selected)
        weights = fit_excluding(known, holdout, excluded, plain, k, seed, more)
        return shifted(fit_few_shot_weights(copies, weights, of_warm, plain, k, excluded))

    active = [name for name in known.sources if name not in known.uninformative()]
    equal = np.array([name in active for name in known.sources], np.float32) / np.float32(len(active))
    scorers = {" + ".join(names): of(names) for n in (1, 2) for names in combinations(active, n)}
    rest = {name: tuple(other for other in active if other != name) for name in active}
    scorers["linear"] = of(tuple(active))
    scorers |= {f"without {name}": of(others) for name, others in rest.items() if others}
    scorers["equal weights"] = shifted(BlendWeights(known.sources, BlendModel(equal), (), equal))
    scorers["blend off"] = shifted(fit_excluding(known, holdout, (), plain, k, seed, more))
    scorers["boosts off"] = scorer.with_boosts(Boosts())
    scorers["all"] = scorer
    return scorers


def fit_excluding(
    known: BlendTrainingSet,
    holdout: Holdout,
    excluded: tuple[str, ...],
    options: BlendOptions,
    k: int,
    seed: int,
    more: BlendTrainingSet | None = None,
) -> BlendWeights:
    """Fit linear weights of the sources that are left; cold items take no source that says the same of all."""
    of_warm = known.columns(~holdout.cold[holdout.candidates])
    warm = blend_fit.fit(of_warm, "linear", options, seed, excluded, ascend_to=k)
    warm = fit_on_more(warm, more, options, k, excluded)
    return BlendWeights(known.sources, warm, (), fit_cold_weights(known, holdout, warm, options.cold_l2, excluded))
