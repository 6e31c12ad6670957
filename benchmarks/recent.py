"""`make bench-recent`: what sources on the end of a history add to the whole hybrid.

Arms: without them; with `recent_ease`; with `recent_text` beside it; half-life 5 items. Each fits the first option set
of ``hybrid_cf.trials`` with weights and boosts from validation, on embeddings of the frozen encoder. NDCG@20
of test lists: warm, the tail in them, cold, mixed, where the tail's boost may cost .5 % of warm NDCG on validation, and
where it may cost 1 % (``*_at_1_percent``, to the hybrid without recent sources at .5 %); of validation, on which the
default was chosen, warm and cold.
"""

import json
import sys

import numpy as np
from catalogues import NAMES, RESULTS, Catalogue, Values, about, known_user_ndcg, prepare, rounded, write
from cold_start import embed_frozen

from tailor import columns as c
from tailor.hybrid.model import Hybrid
from tailor.hybrid.operating_point import fit_blend, operating_point
from tailor.metrics.significance import paired_bootstrap
from tailor.models.base import Floats
from tailor.types import JsonObject

K, HALF_LIFE = 20, 5.0
#: What the tail's boost may cost, by the ending of figures.
LOSSES = {"": 0.005, "_at_1_percent": 0.01}
SEEDS = {"base": (0, 1, 2), "ml1m": (0,)}
RECENT: JsonObject = {"recent_ease": {"half_life": HALF_LIFE}, "recent_text": {"half_life": HALF_LIFE}}
ARMS = {"without": (), "recent_ease": ("recent_ease",), "both": ("recent_ease", "recent_text")}
TARGETS = {"*_recent_ease_warm_to_without": ">= 1.01, lower bound above 1"}


def one_arm(catalogue: Catalogue, vectors: Floats, names: tuple[str, ...]) -> tuple[Values, dict[str, float]]:
    """Return NDCG of test lists per user, and means on validation."""
    options, holdout = catalogue.hybrid_options, catalogue.holdout()
    sources = {name: given for name, given in options.sources.items() if name not in RECENT}
    last = sources.pop("popular")
    options = options.model_copy(
        update={"sources": sources | {name: RECENT[name] for name in names} | {"popular": last}}
    )
    recipe = Hybrid(options.hybrid_config(options.trials["hybrid"][0]), catalogue.seed)
    scorer = recipe.fit(holdout.train_set(vectors))
    chosen = fit_blend(scorer, holdout, options.blend, options.k, catalogue.seed)
    of_validation = holdout.measure(scorer.with_blend(chosen.weights), K)
    train = catalogue.train_set(catalogue.matrix(c.TRAIN), catalogue.warm, vectors)
    model = recipe.with_blend(chosen.weights).fit(train)
    values: Values = {}
    for ending, loss in LOSSES.items():
        limits = options.blend.model_copy(update={"max_tail_boost_loss": loss})
        boosts = operating_point(chosen.curves, limits, scorer.boosts)
        of_loss = known_user_ndcg(catalogue, model.with_boosts(boosts), catalogue.test_rules, K)
        values |= {f"{name}{ending}": per_user for name, per_user in of_loss.items()}
    return values, {f"validation_{name}": of_validation[name] for name in (c.WARM, c.COLD)}


def one_catalogue(env: str) -> dict[str, float]:
    """Return the means of each arm, and ratios to the hybrid without recent sources with intervals over users."""
    tests: dict[str, list[Values]] = {arm: [] for arm in ARMS}
    figures: dict[str, list[float]] = {}
    for seed in SEEDS[env]:
        catalogue = prepare(env, seed)
        vectors = embed_frozen(catalogue)
        for arm, names in ARMS.items():
            values, means = one_arm(catalogue, vectors, names)
            tests[arm].append(values)
            for name, mean in means.items():
                figures.setdefault(f"{arm}_{name}", []).append(mean)
    result = {name: float(np.mean(means)) for name, means in figures.items()}
    for name in tests["without"][0]:
        of_arm = {arm: np.concatenate([values[name] for values in of_seeds]) for arm, of_seeds in tests.items()}
        plain = np.concatenate([values[name.removesuffix("_at_1_percent")] for values in tests["without"]])
        base = float(np.nanmean(plain))
        result[f"without_{name}"] = float(np.nanmean(of_arm["without"]))
        for arm in ("recent_ease", "both"):
            compared, key = paired_bootstrap(of_arm[arm], plain), f"{arm}_{name}"
            result |= {key: float(np.nanmean(of_arm[arm])), f"{key}_to_without": 1 + compared.difference / base}
            result |= {f"{key}_to_without_low": 1 + compared.low / base}
            result |= {f"{key}_to_without_high": 1 + compared.high / base}
    return {f"{NAMES[env]}_{name}": value for name, value in rounded(result).items()}


def main() -> None:
    """Measure the catalogues named on the command line, or both; write as each is done."""
    path = RESULTS / "recent.json"
    earlier = json.loads(path.read_text()) if path.is_file() and sys.argv[1:] else {}
    headline, commits = earlier.get("headline", {}), earlier.get("commits", {})
    for env in sys.argv[1:] or SEEDS:
        headline |= one_catalogue(env)
        made = about("make bench-recent", list(SEEDS["base"]))
        commits |= {NAMES[env]: made["commit"]}
        size = {"k": K, "half_life": HALF_LIFE}
        write(path, {"headline": headline, "targets": TARGETS, "size": size, "commits": commits} | made)
    print(json.dumps(headline, indent=2))


if __name__ == "__main__":
    main()
