"""`make bench-quality`: the hybrid against every baseline, same splits, same number of trials, one look at test.

Options are searched on seed 0's validation side (Optuna TPE, the pipeline's own search, the same number of trials for
every model; the parameters file's own option sets come first) and kept for the other seeds, which fit anew: language
model, blend, boosts, all models. What is measured on test is fitted on train + validation, for every model alike.
Searches are kept in data/bench/quality.db and go on; so are seeds that are done, as long as code and choices stay the
same, and `python benchmarks/quality.py anime --seed=1` does that one alone: several processes may share a search and
the seeds.
"""

import hashlib
import json
import logging
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import mlflow
import numpy as np
from catalogues import NAMES, RESULTS, ROOT, Catalogue, about, prepare, rounded, write
from cold_start import embed_frozen, embeddings, lm_options, tuned
from scipy import sparse

from tailor import columns as c
from tailor.config import parse
from tailor.data.interactions import keep_items
from tailor.evaluation.measure import popularity_metadata
from tailor.evaluation.protocol import NewUserProtocol
from tailor.hybrid import selection
from tailor.hybrid.blend import apply_boosts
from tailor.hybrid.config import Boosts, HybridOptions
from tailor.hybrid.holdout import MIXED_COLD, Holdout
from tailor.hybrid.model import Hybrid
from tailor.hybrid.operating_point import best_cold_shift, known_users
from tailor.hybrid.scorer import HybridScorer
from tailor.lm.embeddings import Embeddings
from tailor.lm.peft import Adapter
from tailor.metrics.accuracy import hits, ndcg
from tailor.metrics.base import Lists
from tailor.metrics.exposure import catalog_coverage, tail_coverage
from tailor.metrics.significance import paired_bootstrap
from tailor.models.base import Csr, FittedModel, Floats, Model, Query, TrainSet
from tailor.models.listing import recommend
from tailor.models.registry import build
from tailor.options import TuningOptions
from tailor.pipelines.tuning.search import flat, search

K, N_TRIALS, FEW_SHOT = 20, 12, (1, 3, 5)
RESULT = RESULTS / "quality.json"
STORE = ROOT / "data" / "bench"
PLAN = {"base": (0, 1, 2), "ml1m": (0, 1, 2), "anime": (0, 1, 2)}
BASELINES = ("popular", "item_knn", "implicit_als", "ease", "slit", "text_ease", "ials", "text_ials")
HYBRIDS = ("hybrid_frozen", "hybrid_lora")
Values = dict[str, np.ndarray]


@dataclass
class Trial:
    """One catalogue under one seed: data, both embeddings (made when they are needed), and the two sides of fits."""

    catalogue: Catalogue

    @cached_property
    def adapter(self) -> Adapter:
        """Of the language model, tuned on the catalogue's own options."""
        adapter, details = tuned(self.catalogue, lm_options(self.catalogue, {}))
        print(f"{self.catalogue.env} seed {self.catalogue.seed} LoRA {details}", flush=True)
        return adapter

    @cached_property
    def embeddings(self) -> Embeddings:
        """Of the tuned encoder."""
        return embeddings(self.catalogue, self.adapter, lm_options(self.catalogue, {}))

    @cached_property
    def frozen(self) -> Floats:
        """Embeddings (n_items, m) of the frozen encoder."""
        return embed_frozen(self.catalogue)

    @cached_property
    def holdout(self) -> Holdout:
        """The validation side."""
        return self.catalogue.holdout()

    @cached_property
    def known(self) -> Csr:
        """Train and validation rows."""
        return self.catalogue.known

    @property
    def options(self) -> HybridOptions:
        """The catalogue's own."""
        return self.catalogue.hybrid_options

    def features(self, model: str) -> Floats:
        """Tuned embeddings for the hybrid on them, frozen ones for all other models."""
        return self.embeddings.vectors if model == "hybrid_lora" else self.frozen

    def held_out(self, model: str) -> TrainSet:
        """What is fitted on for validation."""
        return self.holdout.train_set(self.features(model))

    def final(self, recipe: Model[Any], model: str) -> FittedModel:
        """Fit on train and validation."""
        warm = np.asarray(self.known.sum(axis=0)).ravel() > 0
        return recipe.fit(self.catalogue.train_set(self.known, warm, self.features(model)))


def make_trial(env: str, seed: int, **params: Any) -> Trial:
    """Prepare a catalogue."""
    return Trial(prepare(env, seed, **params))


def open_store() -> None:
    """Make the folder that searches and finished seeds are kept in, and log trials there."""
    STORE.mkdir(parents=True, exist_ok=True)
    mlflow.set_tracking_uri(f"sqlite:///{STORE / 'mlflow.db'}")


def choose(trial: Trial, models: tuple[str, ...], protocol: str = "") -> dict[str, dict[str, Any]]:
    """Search every model's options with the same number of trials; other protocols have studies of their own."""
    catalogue, options, seed = trial.catalogue, trial.options, trial.catalogue.seed
    store = f"sqlite:///{STORE / 'quality.db'}"
    fixed = {"method": "tpe", "objectives": ["criterion"], "n_trials": N_TRIALS, "prune": False, "storage": store}
    tuning = parse(TuningOptions, catalogue.params["tuning"] | fixed, "tuning")

    def evaluate(model: str) -> Callable[..., dict[str, float]]:
        data = trial.held_out(model)

        def fit(settings: dict[str, Any], _: Any) -> dict[str, float]:
            if model in HYBRIDS:
                fitted = selection.fit_scorer(trial.holdout, data, settings, options, seed)
                return selection.measure(trial.holdout, fitted, options)
            return selection.measure(trial.holdout, build(model, settings, seed).fit(data), options)

        return fit

    chosen: dict[str, dict[str, Any]] = {}
    for model in models:
        name = "hybrid" if model in HYBRIDS else model
        space = tuning.space.get(name, {})
        option_sets = [flat(settings) for settings in options.trials.get(name, [])]
        tried_first = [{key: v for key, v in settings.items() if key in space} for settings in option_sets]
        study = f"{catalogue.env} {seed}{protocol}"
        outcome = search(model, space, evaluate(model), tuning, seed, study, tried_first)
        chosen[model] = outcome.chosen
        best = outcome.trials["criterion"].max() if len(outcome.trials) else float("nan")
        print(f"{catalogue.env} {model:17s} {best:.4f} {outcome.chosen}", flush=True)
    return chosen


def fit_all(
    trial: Trial, chosen: dict[str, dict[str, Any]]
) -> tuple[dict[str, FittedModel], dict[str, dict[str, Any]]]:
    """Fit every model on train + validation; the hybrids' blend and boosts come from validation.

    Returns:
        The models, their boosts off, and what was measured and chosen on validation.
    """
    holdout, seed = trial.holdout, trial.catalogue.seed
    final: dict[str, FittedModel] = {}
    on_validation: dict[str, dict[str, Any]] = {}
    for model, settings in chosen.items():
        if model in HYBRIDS:
            data = trial.held_out(model)
            scorer, fitted = selection.fit_hybrid(holdout, data, settings, trial.options, seed)
            accurate = scorer.with_boosts(scorer.boosts.off())
            final[model] = trial.final(accurate.recipe, model)
            on_validation[model] = holdout.measure(accurate, K) | {
                "curves": fitted.curves,
                "blend_models": fitted.models,
                "tail_boost": fitted.boosts.tail_boost,
            }
        else:
            recipe = build(model, settings, seed)
            on_validation[model] = holdout.measure(recipe.fit(trial.held_out(model)), K)
            final[model] = trial.final(recipe, model)
    return final, on_validation


def boostable(trial: Trial, settings: dict[str, Any]) -> HybridScorer:
    """Return the frozen baseline's own scores under our boosts: text-prior iALS alone, its shift fitted as ours is."""
    holdout, seed = trial.holdout, trial.catalogue.seed
    options = trial.options.model_copy(update={"sources": {"ials": {}}})
    blend = options.blend.model_copy(update={"models": ["linear"]})
    scorer = Hybrid(options.hybrid_config({"ials": settings}), seed).fit(trial.held_out("text_ials"))
    known = known_users(scorer, holdout, blend, seed)
    shift = best_cold_shift(scorer, scorer.blend, known, holdout, blend, K)
    fitted = trial.final(scorer.recipe.with_blend(scorer.blend.shifted(shift)), "text_ials")
    assert isinstance(fitted, HybridScorer)  # noqa: S101
    return fitted


def spread(values: np.ndarray, users: np.ndarray, n_users: int) -> np.ndarray:
    """Return values of some users as values of all (n_users,), NaN for the rest."""
    out = np.full(n_users, np.nan)
    out[users] = values
    return out


def look(trial: Trial, model: Any, k: int = K) -> tuple[Values, dict[str, float]]:
    """Return per-user NDCG@k on test (NaN without positives), and what mixed and warm lists expose."""
    catalogue = trial.catalogue
    cold, n_users = catalogue.cold, len(catalogue.users)
    seen = sparse.csr_matrix(trial.known + catalogue.matrix(c.COLD_UNUSED))
    counted = sparse.csr_matrix(catalogue.matrix(c.TEST) + catalogue.matrix(c.COLD))
    users = np.flatnonzero(catalogue.users[c.BUCKET] != "new")
    sets = {c.WARM: ~cold, c.COLD: cold, c.MIXED: np.ones(len(cold), bool)}
    query = catalogue.histories(trial.known).take(users)
    lists = recommend(model, query, seen[users], sets, k, catalogue.tie_rank)
    tail = np.asarray(catalogue.items[c.BUCKET] == c.TAIL)
    measured = {name: (name, mask) for name, mask in sets.items()}
    measured |= {c.TAIL: (c.WARM, tail), MIXED_COLD: (c.MIXED, cold)}
    values = {}
    for name, (candidates, mask) in measured.items():
        positives = keep_items(counted[users], mask)
        per_user = ndcg(hits(lists[candidates][0], positives), np.diff(positives.indptr), k)
        values[name] = spread(per_user, users, n_users)
    warm = Lists.build(lists[c.WARM][0], popularity_metadata(catalogue.items), candidates=~cold)
    return values, {"coverage": catalog_coverage(warm), "tail_coverage": tail_coverage(warm)}


def look_at_new_users(trial: Trial, model: FittedModel) -> Values:
    """Return per-user NDCG@20 of warm lists for new users, by how many of their items are known."""
    catalogue, values = trial.catalogue, {}
    data = catalogue.data
    protocol = NewUserProtocol.build(
        catalogue.users,
        catalogue.items,
        catalogue.matrix(c.NEW_USER),
        data["reveal_order_matrix"],
        data["side_features"],
    )
    warm, n_users = {c.WARM: ~catalogue.cold}, len(catalogue.users)
    for n in FEW_SHOT:
        query, hidden = protocol.revealed(n), protocol.hidden(n)
        lists = recommend(model, query, query.history, warm, K, catalogue.tie_rank)[c.WARM][0]
        values[f"new_{n}"] = spread(ndcg(hits(lists, hidden), np.diff(hidden.indptr), K), protocol.users, n_users)
    return values


@dataclass(frozen=True)
class ManyBoosts:
    """A hybrid that is looked at under many settings of a boost: the scores of all users stay (4 bytes a cell)."""

    scorer: HybridScorer
    scores: Floats
    """Boosts at 0 (U, n_items)."""
    boosts: Boosts

    @classmethod
    def of(cls, trial: Trial, scorer: HybridScorer) -> "ManyBoosts":
        """Score every user once."""
        plain = scorer.with_boosts(scorer.boosts.off())
        blocks = trial.catalogue.histories(trial.known).blocks(512)
        return cls(plain, np.vstack([plain.score(query) for _, query in blocks]), plain.boosts)

    def under(self, **settings: float) -> "ManyBoosts":
        """Return the same under other boosts."""
        return replace(self, boosts=self.boosts.model_copy(update=settings))

    def score(self, query: Query) -> Floats:
        """Return the scores of some users (B, n_items)."""
        scorer, scores = self.scorer, self.scores[query.user_index]
        common = scorer.population_score
        return apply_boosts(scores, self.boosts, scorer.warm, scorer.tail, common, query.lengths > 0)


def curves_on_test(trial: Trial, model: ManyBoosts, curves: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the trade-off curves on test, beside those on validation."""
    rows = []
    for point in curves:
        values, exposure = look(trial, model.under(**{point["boost"]: point["value"]}))
        names = (c.MIXED, MIXED_COLD) if point["boost"] == "cold_boost" else (c.WARM, c.TAIL)
        accuracy, exposed = (float(np.nanmean(values[name])) for name in names)
        exposed = exposure["coverage"] if point["boost"] == "popularity_debias" else exposed
        rows.append(point | {"test_accuracy": accuracy, "test_exposure": exposed} | exposure)
    return rows


def one_seed(trial: Trial, chosen: dict[str, dict[str, Any]]) -> tuple[dict[str, Values], dict[str, Any]]:
    """Fit and look once; per model its values, and what else is worth reporting."""
    models, on_validation = fit_all(trial, chosen)
    values, details = {}, {"seed": trial.catalogue.seed, "boosts": {}, "exposure": {}}
    for name, model in models.items():
        on_test, details["exposure"][name] = look(trial, model)
        values[name] = on_test | look_at_new_users(trial, model)
        means = rounded({k: float(np.nanmean(v)) for k, v in values[name].items()})
        print(f"{trial.catalogue.env} seed {trial.catalogue.seed} {name:17s} {means}", flush=True)
    for name in HYBRIDS:
        hybrid, measured = ManyBoosts.of(trial, models[name]), on_validation[name]
        weight = measured["tail_boost"]  # the largest that blend.max_tail_boost_loss allows on validation
        values[f"{name} tail-boosted"], _ = look(trial, hybrid.under(tail_boost=weight))
        curves = curves_on_test(trial, hybrid, measured["curves"])
        details["boosts"][name] = {"tail_boost": weight, "curves": curves, "blend_models": measured["blend_models"]}
    baseline = ManyBoosts.of(trial, boostable(trial, chosen["text_ials"]))
    points = [{"boost": "cold_boost", "value": v} for v in np.linspace(0, 1, 11).round(6).tolist()]
    details["boosts"]["text_ials"] = {"curves": curves_on_test(trial, baseline, points)}
    return values, details


def mean_over_seeds(per_seed: list[dict[str, Values]], model: str, which: str) -> np.ndarray:
    """Return each user's value (U,), averaged over the seeds in which there is one; NaN where there is none."""
    stacked = np.stack([values[model][which] for values in per_seed])
    known = ~np.isnan(stacked)
    sums, counts = np.where(known, stacked, 0).sum(axis=0), known.sum(axis=0)
    return np.divide(sums, counts, out=np.full(len(counts), np.nan), where=counts > 0)


def against(per_seed: list[dict[str, Values]], ours: str, theirs: list[str], which: str) -> dict[str, Any]:
    """Compare with the best of the others by its mean; users are resampled, their values averaged over seeds first."""
    best = max(theirs, key=lambda name: float(np.nanmean(mean_over_seeds(per_seed, name, which))))
    pair = [mean_over_seeds(per_seed, name, which) for name in (ours, best)]
    return {"against": best} | asdict(paired_bootstrap(*pair))


def frontier(per_seed: list[dict[str, Any]], model: str) -> dict[str, Any]:
    """Return mixed-cold NDCG at mixed >= 0.99 x the best model's with boosts off, averaged over seeds, on test."""
    reached = []
    for details in per_seed:
        curves = {
            name: [row for row in boosts["curves"] if row["boost"] == "cold_boost"]
            for name, boosts in details["boosts"].items()
        }
        limit = 0.99 * max(curve[0]["test_accuracy"] for curve in curves.values())
        within = [row["test_exposure"] for row in curves[model] if row["test_accuracy"] >= limit]
        reached.append(max(within, default=0.0))
    return {"mixed_cold": float(np.mean(reached)), "per_seed": reached}


def resumed_seed(
    trial: Trial, env: str, seed: int, chosen: dict[str, dict[str, Any]]
) -> tuple[dict[str, Values], dict[str, Any]]:
    """Return what :func:`one_seed` does, from disk where this commit did it with these choices before."""
    key = hashlib.sha256(json.dumps([chosen, about("", [])["commit"]], sort_keys=True).encode()).hexdigest()[:12]
    path = STORE / f"quality_{env}_{seed}_{key}.npz"
    if path.is_file():
        with np.load(path, allow_pickle=False) as arrays:
            values: dict[str, Values] = {}
            for name in arrays.files:
                if name != "details":
                    model, which = name.split("|")
                    values.setdefault(model, {})[which] = arrays[name]
            return values, json.loads(str(arrays["details"]))
    values, details = one_seed(trial if trial.catalogue.seed == seed else make_trial(env, seed), chosen)
    flat_values = {f"{model}|{which}": v for model, of_model in values.items() for which, v in of_model.items()}
    np.savez(path.with_suffix(".part.npz"), details=json.dumps(details), **flat_values)  # type: ignore[arg-type]
    path.with_suffix(".part.npz").rename(path)
    return values, details


def measure(env: str, seeds: tuple[int, ...], keep: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Run one catalogue; ``keep`` is handed what there is after every seed, so that an interruption loses one."""
    per_seed, details, result = [], [], dict[str, Any]()
    trial = make_trial(env, 0)
    chosen = choose(trial, (*BASELINES, *HYBRIDS))
    for seed in seeds:
        values, of_seed = resumed_seed(trial, env, seed, chosen)
        per_seed.append(values)
        details.append(of_seed)
        result = {"chosen": chosen} | joined(per_seed, details)
        keep(result)
    return result


def joined(per_seed: list[dict[str, Values]], details: list[dict[str, Any]]) -> dict[str, Any]:
    """Put the seeds of one catalogue together: means, comparisons, frontiers."""
    table = {
        name: {which: float(np.nanmean(mean_over_seeds(per_seed, name, which))) for which in per_seed[0][name]}
        for name in per_seed[0]
    }
    strong, fold_in = ["text_ials", "ease"], ["popular", "item_knn", "ials"]
    single = [*strong, "slit"]
    compared: dict[str, Any] = {}
    for ours in HYBRIDS:
        compared[ours] = {
            "warm": against(per_seed, ours, strong, c.WARM),
            "warm_text_ease": against(per_seed, ours, ["text_ease"], c.WARM),
            "warm_slit": against(per_seed, ours, ["slit"], c.WARM),
            "cold": against(per_seed, ours, ["text_ials"], c.COLD),
            "tail_boosted": against(per_seed, f"{ours} tail-boosted", single, c.TAIL),
            "warm_tail_boosted": against(per_seed, f"{ours} tail-boosted", single, c.WARM),
        } | {f"new_{n}": against(per_seed, ours, fold_in, f"new_{n}") for n in FEW_SHOT}
    fronts = {name: frontier(details, name) for name in (*HYBRIDS, "text_ials")}
    return {"table": table, "compared": compared, "frontier": fronts, "seeds": details}


def headline(results: dict[str, Any]) -> dict[str, float]:
    """Pick the figures that have targets, for the hybrid on tuned embeddings."""
    figures = {}
    for env, result in results.items():
        for name, comparison in result["compared"]["hybrid_lora"].items():
            figures[f"{env}_{name}_ratio"] = comparison["ratio"]
            figures[f"{env}_{name}_ratio_low"] = comparison["ratio_low"]
        ours, baseline = (result["frontier"][name]["mixed_cold"] for name in ("hybrid_lora", "text_ials"))
        figures |= {f"{env}_frontier_mixed_cold": ours, f"{env}_frontier_mixed_cold_baseline": baseline}
    return rounded(figures)


TARGETS = {
    "anime, ml1m: warm_ratio": ">= 1.03 of the better of text_ials and EASE, low > 1",
    "anime, ml1m: warm_text_ease_ratio": ">= 1.01, low > 1",
    "anime, ml1m: tail_boosted_ratio": ">= 1.5 at warm_tail_boosted_ratio >= 0.99",
    "anime, ml1m: cold_ratio": ">= 1.15",
    "frontier_mixed_cold": ">= 2 x the baseline's, both at mixed >= 0.99 x the best model with boosts off",
    "new_1_ratio, new_3_ratio, new_5_ratio": ">= 1.05 of the better of popular, item kNN and iALS",
}


def main() -> None:
    """Run everything, or the catalogues named on the command line (written beside the whole result)."""
    logging.disable(logging.INFO)
    chosen = [arg for arg in sys.argv[1:] if not arg.startswith("--")] or list(PLAN)
    alone = [int(arg.removeprefix("--seed=")) for arg in sys.argv[1:] if arg.startswith("--seed=")]
    open_store()
    results: dict[str, Any] = {}
    for place, env in enumerate(chosen, start=1):

        def keep(result: dict[str, Any], env: str = env, done: list[str] = chosen[:place]) -> None:
            results[NAMES[env]] = result
            seeds = sorted({details["seed"] for result in results.values() for details in result["seeds"]})
            whole = set(done) == set(PLAN)
            path = RESULT if whole else RESULT.with_name(f"quality_{'_'.join(NAMES[e] for e in done)}.json")
            command = "make bench-quality" if whole else f"python benchmarks/quality.py {' '.join(done)}"
            report = {"headline": headline(results), "targets": TARGETS, "trials": N_TRIALS, "results": results}
            write(path, report | about(command, seeds))

        if alone:
            measure(env, tuple(alone), lambda _: None)
            continue
        measure(env, PLAN[env], keep)
        RESULT.with_name(f"quality_{'_'.join(NAMES[e] for e in chosen[: place - 1])}.json").unlink(missing_ok=True)


if __name__ == "__main__":
    main()
