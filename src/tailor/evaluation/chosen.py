"""What validation chose for a hybrid, as one nested object: options, weights by source, operating point, re-ranking."""

from tailor.hybrid.config import Boosts
from tailor.hybrid.scorer import HybridScorer
from tailor.models.base import Floats
from tailor.types import JsonObject, Parameters

_DIGITS = 4


def describe_choice(scorer: HybridScorer, options: Parameters, balance: JsonObject) -> JsonObject:
    """Return what validation chose.

    Args:
        scorer: with the weights and boosts that validation chose.
        options: the option set that won among the trials.
        balance: method and strength of the re-ranker.

    Returns:
        options; weights (warm, cold, and of histories of at most n items ``few_shot_n``) by source; boosts; rerank.
    """
    blend, boosts = scorer.blend, {name: getattr(scorer.boosts, name) for name in _BOOSTS}

    def by_source(weights: Floats) -> dict[str, float]:
        pairs = zip(blend.sources, weights, strict=True)
        return {source: round(float(weight), _DIGITS) for source, weight in pairs}

    weights: JsonObject = {"warm": by_source(blend.warm.base), "cold": by_source(blend.cold)}
    weights |= {f"few_shot_{longest}": by_source(of_few) for longest, of_few in blend.few_shot}
    rerank = {name: balance[name] for name in ("method", "strength")}
    boosts["cold_shift"] = blend.cold_shift
    return {"options": options, "weights": weights, "boosts": boosts, "rerank": rerank}


#: What an operating point is made of.
_BOOSTS = [name for name in Boosts.model_fields if name != "reach"]
