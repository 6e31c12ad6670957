"""`make bench-transformer`: what a transformer over the order adds to the whole hybrid, and what it is alone.

Arms: the hybrid without the source `transformer`, and with it, both by the first option set of ``hybrid_cf.trials``
with weights and boosts from validation, on embeddings of the frozen encoder; `sasrec`, `slit` and `transition_knn`
alone, by their first option sets. NDCG@20 of test lists: warm, the tail in them, cold, mixed. ``*_at_equal_warm``: the
tail of the hybrid whose tail boost is raised as far as its warm NDCG stays that of `sasrec`, to the tail of `sasrec`.
Seconds of one fit of the source and of one session's scores.
"""

import json
import sys
import time
from dataclasses import replace

import numpy as np
from catalogues import NAMES, RESULTS, Catalogue, Values, about, known_user_ndcg, prepare, rounded, write
from cold_start import embed_frozen

from tailor import columns as c
from tailor.hybrid.scorer import HybridScorer
from tailor.metrics.significance import paired_bootstrap
from tailor.models import transformer_torch
from tailor.models.base import TrainSet
from tailor.models.registry import build

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
    "session_ms": "<= 10",
}


def without_source(catalogue: Catalogue) -> Catalogue:
    """Return the same catalogue under parameters that leave the source out."""
    hybrid_cf = catalogue.params["hybrid_cf"]
    sources = hybrid_cf["sources"] | {SOURCE: None}
    return replace(catalogue, params=catalogue.params | {"hybrid_cf": hybrid_cf | {"sources": sources}})


def one_seed(catalogue: Catalogue) -> tuple[dict[str, Values], Values, dict[str, float]]:
    """Return NDCG per user of each arm; of the hybrid whose warm NDCG is that of sasrec; and seconds."""
    vectors, values = embed_frozen(catalogue), dict[str, Values]()
    train = catalogue.train_set(catalogue.matrix(c.TRAIN), catalogue.warm, vectors)
    for name in SINGLE:
        settings = (catalogue.hybrid_options.trials.get(name) or [{}])[0]
        fitted = build(name, settings, catalogue.seed).fit(train)
        values[name] = known_user_ndcg(catalogue, fitted, catalogue.test_rules, K)
    values["without"] = known_user_ndcg(catalogue, without_source(catalogue).blended(vectors), catalogue.test_rules, K)
    scorer = catalogue.blended(vectors)
    values["with"] = known_user_ndcg(catalogue, scorer, catalogue.test_rules, K)
    equal = values["with"]
    for boost in STEPS[scorer.boosts.tail_boost <= STEPS]:
        raised = scorer.with_boosts(scorer.boosts.model_copy(update={"tail_boost": float(boost)}))
        tried = known_user_ndcg(catalogue, raised, catalogue.test_rules, K)
        if np.nanmean(tried["warm"]) < np.nanmean(values["sasrec"]["warm"]):
            break
        equal = tried
    return values, equal, _seconds(scorer, catalogue, train)


def _seconds(scorer: HybridScorer, catalogue: Catalogue, train: TrainSet) -> dict[str, float]:
    transformer_torch.forget()
    start = time.perf_counter()
    scorer.sources[SOURCE].recipe.fit(train)
    fit_s = time.perf_counter() - start
    query = catalogue.test_rules.histories.take(np.argsort(-catalogue.test_rules.histories.lengths)[:1])
    of_one = []
    for _ in range(200):
        start = time.perf_counter()
        scorer.sources[SOURCE].score(query)
        of_one.append(time.perf_counter() - start)
    return {"fit_s": fit_s, "session_ms": 1000 * float(np.percentile(of_one, 99))}


def one_catalogue(env: str) -> dict[str, float]:
    """Return the means of each arm, and ratios with intervals over users."""
    seeds = [one_seed(prepare(env, seed)) for seed in SEEDS[env]]
    arms = {
        arm: {name: np.concatenate([values[arm][name] for values, _, _ in seeds]) for name in seeds[0][0][arm]}
        for arm in seeds[0][0]
    }
    result = {f"{arm}_{name}": float(np.nanmean(values)) for arm, of in arms.items() for name, values in of.items()}
    best = max(SINGLE, key=lambda name: result[f"{name}_warm"])
    pairs = {f"with_{name}_to_without": (arms["with"][name], arms["without"][name]) for name in arms["with"]}
    pairs["with_warm_to_best_single"] = (arms["with"]["warm"], arms[best]["warm"])
    equal = np.concatenate([of_equal["tail"] for _, of_equal, _ in seeds])
    pairs["tail_at_equal_warm"] = (equal, arms["sasrec"]["tail"])
    for name, (ours, theirs) in pairs.items():
        compared, base = paired_bootstrap(ours, theirs), float(np.nanmean(theirs))
        result |= {name: 1 + compared.difference / base}
        result |= {f"{name}_low": 1 + compared.low / base, f"{name}_high": 1 + compared.high / base}
    result |= {name: float(np.mean([seconds[name] for _, _, seconds in seeds])) for name in seeds[0][2]}
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
