"""What each part of the hybrid is worth: gates with parts left out, each fitted on validation like the whole."""

from dataclasses import replace
from itertools import combinations

import numpy as np

from tailor.hybrid import blend_fit as fusion
from tailor.hybrid.blend import SOURCES, BlendModel, BlendWeights
from tailor.hybrid.blend_fit import BlendTrainingSet
from tailor.hybrid.holdout import Holdout
from tailor.hybrid.operating_point import choose_weights, fit_few_shot_weights, fit_shift, known_cells
from tailor.hybrid.scorer import Hybrid
from tailor.options import Boosts, MixtureOptions


def variants(scorer: Hybrid, holdout: Holdout, options: MixtureOptions, k: int, seed: int) -> dict[str, Hybrid]:
    """Return scorers on the same fitted sources: each source alone, each pair, all, and all with one part off.

    Sources that say nothing in this catalogue are left out.


    * ``all``: the scorer as it is.
    * ``boosts off``: the accuracy ranking.
    * ``gate off``: weights that depend on neither popularity, activity nor history length.
    * ``equal weights``: nothing is fitted but the shift.

    Args:
        scorer: fitted without pseudo-cold B, gate and boosts set.
        holdout: the validation side of the split.
        options: as the gate was fitted with.
        k: cut-off that the shift is chosen at.
        seed: of everything drawn.
    """
    plain = options.model_copy(update={"fusions": ["linear"], "steps": 1})
    cells = known_cells(scorer, holdout, plain, seed)

    def shifted(gate: BlendWeights) -> Hybrid:
        found, _, _ = fit_shift(scorer, gate, cells, holdout, plain, k)
        return scorer.with_gate(found).with_boosts(Boosts())

    def of(kept: tuple[str, ...]) -> Hybrid:
        gate = fit_without(cells, holdout, tuple(set(SOURCES) - set(kept)), plain, k, seed)
        return shifted(fit_few_shot_weights(scorer, gate, holdout, plain, k, seed, kept))

    speaking = [name for name in SOURCES if name not in cells.silent()]
    even = np.array([name in speaking for name in SOURCES], np.float32) / np.float32(len(speaking))
    found = {" + ".join(kept): of(kept) for n in (1, 2) for kept in combinations(speaking, n)}
    found["equal weights"] = shifted(BlendWeights(warm=BlendModel(even), cold=even))
    found["gate off"] = shifted(fit_without(cells, holdout, (), plain, k, seed))
    found["boosts off"] = scorer.with_boosts(Boosts())
    found["all"] = scorer
    return found


def fit_without(
    cells: BlendTrainingSet, holdout: Holdout, without: tuple[str, ...], options: MixtureOptions, k: int, seed: int
) -> BlendWeights:
    """Fit linear weights of the sources that are left; cold items take no source that says the same of all."""
    cold = holdout.cold[holdout.candidates]
    warm = fusion.fit(cells.columns(~cold), "linear", options, seed, without, climb_to=k)
    return replace(BlendWeights(), warm=warm, cold=choose_weights(cells.columns(cold), options, k, seed, without))
