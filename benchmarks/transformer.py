"""`make bench-transformer`: what a transformer over the order adds to the whole hybrid, and what it is alone.

Arms: the hybrid without the source `transformer`, and with it, both by the first option set of ``hybrid_cf.trials``
with weights and boosts from validation, on embeddings of the frozen encoder; `sasrec`, `slit` and `transition_knn`
alone, by their first option sets. NDCG@20 of test lists: warm, the tail in them, cold, mixed. ``tail_at_equal_warm``:
the tail of the hybrid whose tail boost is raised as far as its warm NDCG stays that of `sasrec`, to that of `sasrec`;
``tail_at_equal_warm_boosted``: the same where `sasrec` has the hybrid's tail boost. Seconds of one fit of the source.
``session_p99_ms``: a whole request of a session of 20 items, and ``package_mib``: what is registered, but for its
encoders, with the source and without it.
"""

import json
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from catalogues import NAMES, RESULTS, Catalogue, Values, about, known_user_ndcg, prepare, rounded, seconds_of, write
from cold_start import embed_frozen
from serve import sessions
from threadpoolctl import threadpool_limits

from tailor import columns as c
from tailor.hybrid.scorer import HybridScorer
from tailor.metrics.significance import paired_bootstrap
from tailor.models import transformer_torch
from tailor.models.base import FittedModel, Floats, Model, Query, State, TrainSet
from tailor.models.registry import build
from tailor.serving.recommender import Recommender

K = 20
SOURCE = "transformer"
SEEDS = {"base": (0, 1, 2), "ml1m": (0,)}
SINGLE = ("sasrec", "slit", "transition_knn")
STEPS = np.linspace(0, 1, 21)
TARGETS = {
    "ml1m_with_warm_to_without": ">= 1.04, lower bound above 1",
    "ml1m_with_warm_to_best_single": ">= 1.04",
    "*_tail_at_equal_warm": ">= 1.1, lower bound above 1",
    "ml100k_with_warm_to_without": ">= 1.02",
    "*_session_p99_ms_more": "<= 10",
    "*_package_ratio": "<= 1.3",
}


def without_source(catalogue: Catalogue) -> Catalogue:
    """Return the same catalogue under parameters that leave the source out."""
    hybrid_cf = catalogue.params["hybrid_cf"]
    sources = hybrid_cf["sources"] | {SOURCE: None}
    return replace(catalogue, params=catalogue.params | {"hybrid_cf": hybrid_cf | {"sources": sources}})


@dataclass(frozen=True, eq=False)
class TailBoosted(FittedModel):
    """A model alone under a tail boost, in standard deviations of each user's warm scores, as the hybrid has it."""

    recipe: Model[Any]
    base: FittedModel
    data: TrainSet
    boost: float

    @property
    def n_items(self) -> int:
        """Items of the catalogue."""
        return self.base.n_items

    def _score(self, query: Query) -> Floats:
        scores = self.base.score(query)
        of_warm = scores[:, self.data.warm]
        return scores + np.float32(self.boost) * of_warm.std(axis=1, keepdims=True) * self.data.tail

    def state(self) -> State:
        """Return nothing: it is not saved."""
        return {}


def one_seed(catalogue: Catalogue) -> tuple[dict[str, Values], dict[str, float]]:
    """Return NDCG per user of each arm, and what the source costs."""
    vectors, values, fitted = embed_frozen(catalogue), dict[str, Values](), dict[str, FittedModel]()
    train = catalogue.train_set(catalogue.matrix(c.TRAIN), catalogue.warm, vectors)

    def measure(model: FittedModel) -> Values:
        return known_user_ndcg(catalogue, model, catalogue.test_rules, K)

    for name in SINGLE:
        settings = (catalogue.hybrid_options.trials.get(name) or [{}])[0]
        fitted[name] = build(name, settings, catalogue.seed).fit(train)
        values[name] = measure(fitted[name])
    without, scorer = without_source(catalogue).blended(vectors), catalogue.blended(vectors)
    values |= {"without": measure(without), "with": measure(scorer)}
    boosts = scorer.boosts
    boosted = TailBoosted(fitted["sasrec"].recipe, fitted["sasrec"], train, boosts.tail_boost * boosts.tail_boost_scale)
    values["sasrec_boosted"] = measure(boosted)
    for single in ("sasrec", "sasrec_boosted"):
        values[f"at_warm_of_{single}"] = _at_equal_warm(scorer, values["with"], values[single], measure)
    served = _served(catalogue, {"without": without, "with": scorer})
    return values, {"fit_s": _fit_seconds(scorer, train)} | served


def _at_equal_warm(
    scorer: HybridScorer, start: Values, of_single: Values, measure: Callable[[FittedModel], Values]
) -> Values:
    """Return NDCG of the hybrid with the largest tail boost at which its warm NDCG is that of a single model."""
    equal = start
    for boost in STEPS[scorer.boosts.tail_boost <= STEPS]:
        raised = measure(scorer.with_boosts(scorer.boosts.model_copy(update={"tail_boost": float(boost)})))
        if np.nanmean(raised[c.WARM]) < np.nanmean(of_single[c.WARM]):
            break
        equal = raised
    return equal


def _fit_seconds(scorer: HybridScorer, train: TrainSet) -> float:
    transformer_torch.forget()
    return seconds_of(lambda: scorer.sources[SOURCE].recipe.fit(train))[0]


def _served(catalogue: Catalogue, scorers: dict[str, HybridScorer]) -> dict[str, float]:
    """Return what a session costs and what a package weighs, with and without the source."""
    figures = dict[str, float]()
    for arm, scorer in scorers.items():
        with tempfile.TemporaryDirectory() as folder, threadpool_limits(1):
            catalogue.recommender(scorer, catalogue.known, metadata=catalogue.metadata).save(Path(folder) / "package")
            files = [file for file in Path(folder).rglob("*") if file.is_file()]
            figures[f"{arm}_package_mib"] = sum(file.stat().st_size for file in files) / 2**20
            served = Recommender.load(Path(folder) / "package")
            figures[f"{arm}_session_p99_ms"] = sessions(served)["session_p99_ms"]
    return figures | {
        "package_ratio": figures["with_package_mib"] / figures["without_package_mib"],
        "session_p99_ms_more": figures["with_session_p99_ms"] - figures["without_session_p99_ms"],
    }


def one_catalogue(env: str) -> dict[str, float]:
    """Return the means of each arm, and ratios with intervals over users."""
    seeds = [one_seed(prepare(env, seed)) for seed in SEEDS[env]]
    arms = {
        arm: {name: np.concatenate([values[arm][name] for values, _ in seeds]) for name in seeds[0][0][arm]}
        for arm in seeds[0][0]
    }
    result = {f"{arm}_{name}": float(np.nanmean(values)) for arm, of in arms.items() for name, values in of.items()}
    best = max(SINGLE, key=lambda name: result[f"{name}_warm"])
    pairs = {f"with_{name}_to_without": (arms["with"][name], arms["without"][name]) for name in arms["with"]}
    pairs["with_warm_to_best_single"] = (arms["with"][c.WARM], arms[best][c.WARM])
    pairs["tail_at_equal_warm"] = (arms["at_warm_of_sasrec"][c.TAIL], arms["sasrec"][c.TAIL])
    of_boosted = (arms["at_warm_of_sasrec_boosted"][c.TAIL], arms["sasrec_boosted"][c.TAIL])
    pairs["tail_at_equal_warm_boosted"] = of_boosted
    for name, (ours, theirs) in pairs.items():
        compared, base = paired_bootstrap(ours, theirs), float(np.nanmean(theirs))
        result |= {name: 1 + compared.difference / base}
        result |= {f"{name}_low": 1 + compared.low / base, f"{name}_high": 1 + compared.high / base}
    result |= {name: float(np.mean([costs[name] for _, costs in seeds])) for name in seeds[0][1]}
    return {f"{NAMES[env]}_{name}": value for name, value in rounded(result).items()}


def main() -> None:
    """Measure the catalogues named on the command line, or all; write as each is done."""
    path = RESULTS / "transformer.json"
    for env in sys.argv[1:] or SEEDS:
        of_one = one_catalogue(env)
        earlier = json.loads(path.read_text()) if path.is_file() else {}
        made = about("make bench-transformer", list(SEEDS["base"]))
        headline = earlier.get("headline", {}) | of_one
        commits = earlier.get("commits", {}) | {NAMES[env]: made["commit"]}
        write(path, {"headline": headline, "targets": TARGETS, "size": {"k": K}, "commits": commits} | made)
    print(json.dumps(headline, indent=2))


if __name__ == "__main__":
    main()
