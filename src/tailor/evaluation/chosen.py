"""What validation chose for a hybrid, as one nested object: options, weights by source, operating point, re-ranking."""

from collections.abc import Sequence

import pandas as pd

from tailor import columns as c
from tailor.hybrid.config import Boosts, DomainBoosts
from tailor.hybrid.scorer import HybridScorer
from tailor.models.base import Floats
from tailor.types import JsonObject, Parameters

_DIGITS = 4


def describe_choice(
    scorer: HybridScorer, options: Parameters, balance: JsonObject, domains: Sequence[str] = ()
) -> JsonObject:
    """Return what validation chose.

    Args:
        scorer: with the weights and boosts that validation chose.
        options: the option set that won among the trials.
        balance: method and strength of the re-ranker.
        domains: names of the domains, in the order of their numbers.

    Returns:
        options; weights (warm, cold, and of histories of at most n items ``few_shot_n``) by source; boosts, under
        ``by_domain`` those of domains that have their own; rerank.
    """
    blend = scorer.blend
    boosts: JsonObject = dict(stated(scorer.boosts))

    def by_source(weights: Floats) -> dict[str, float]:
        pairs = zip(blend.sources, weights, strict=True)
        return {source: round(float(weight), _DIGITS) for source, weight in pairs}

    weights: JsonObject = {"warm": by_source(blend.warm.base), "cold": by_source(blend.cold)}
    weights |= {f"few_shot_{longest}": by_source(of_few) for longest, of_few in blend.few_shot}
    rerank = {name: balance[name] for name in ("method", "strength")}
    boosts["cold_shift"] = blend.cold_shift
    of_domains = points_by_domain(scorer, domains)
    if of_domains:
        boosts["by_domain"] = of_domains
    return {"options": options, "weights": weights, "boosts": boosts, "rerank": rerank}


def stated(boosts: Boosts) -> dict[str, float]:
    """Return an operating point with the scales that it is stated in."""
    return {name: getattr(boosts, name) for name in _BOOSTS}


def points_by_domain(scorer: HybridScorer, domains: Sequence[str]) -> dict[str, dict[str, float]]:
    """Return where cold and tail boost stand in each domain, by name; empty where all domains stand at one point."""
    rows = scorer.boosts.by_domain
    return {name: row.model_dump() for name, row in zip(domains, rows, strict=True)} if rows else {}


def tabulate_points(scorer: HybridScorer, domains: Sequence[str]) -> pd.DataFrame:
    """Return where cold and tail boost stand in each domain and over the lists of all; without rows of one domain.

    Args:
        scorer: at its operating point.
        domains: names of the domains, in the order of their numbers; empty: there is one.

    Returns:
        Columns domain, cold_boost, tail_boost, and what each adds in standard deviations of a user's warm scores,
        cold_lift and tail_lift.
    """
    boosts, shared = (
        scorer.boosts,
        DomainBoosts(cold_boost=scorer.boosts.cold_boost, tail_boost=scorer.boosts.tail_boost),
    )
    points = {"all": shared, **dict(zip(domains, boosts.by_domain or [shared] * len(domains), strict=True))}
    rows = [
        {c.DOMAIN: name, "cold_boost": point.cold_boost, "tail_boost": point.tail_boost}
        | {"cold_lift": point.cold_boost * boosts.cold_boost_scale}
        | {"tail_lift": point.tail_boost * boosts.tail_boost_scale}
        for name, point in points.items()
    ]
    return pd.DataFrame(
        rows if domains else [], columns=[c.DOMAIN, *DomainBoosts.model_fields, "cold_lift", "tail_lift"]
    )


#: What an operating point is made of.
_BOOSTS = [name for name in Boosts.model_fields if name not in ("reach", "by_domain")]
