"""`make bench-quality`: the hybrid against every baseline, same splits, same number of trials, one look at test.

Options are searched on seed 0's validation side (Optuna TPE, the pipeline's own search, the same number of trials for
every model; the parameters file's own option sets come first) and kept for the other seeds, which fit anew: language
model, gate, boosts, all models. What is judged on test is fitted on train + validation, for every model alike. Searches
are kept in data/bench/quality.db and go on; so are seeds that are done, as long as code and choices stay the same, and
`python benchmarks/quality.py anime --seed=1` does that one alone: several processes may share a search and the seeds.
"""

import copy
import hashlib
import json
import logging
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import mlflow
import numpy as np
from catalogues import ROOT, Catalogue, prepare
from cold_start import about, embed, embeddings, lm_options, tuned, write
from scipy import sparse

from tailor import columns as c
from tailor.config import parse
from tailor.data.hashing import tie_ranks
from tailor.data.interactions import first_of_each_row, keep_items
from tailor.evaluation.measure import popularity_metadata
from tailor.hybrid import selection
from tailor.hybrid.blend import BlendModel, BlendWeights, apply_boosts, only
from tailor.hybrid.holdout import MIXED_COLD, Holdout
from tailor.hybrid.operating_point import fit_shift, known_cells
from tailor.hybrid.scorer import Hybrid
from tailor.lm.embeddings import Embeddings
from tailor.lm.peft import Adapter
from tailor.lm.whitening import Whitening
from tailor.metrics.accuracy import hits, ndcg
from tailor.metrics.base import Lists
from tailor.metrics.exposure import catalog_coverage, tail_coverage
from tailor.metrics.significance import paired_bootstrap
from tailor.models.base import Engine
from tailor.models.listing import recommend
from tailor.models.registry import build
from tailor.hybrid.config import HybridOptions
from tailor.options import TuningOptions
from tailor.pipelines.tuning.search import flat, search

K, N_TRIALS, NEWCOMERS = 20, 12, (1, 3, 5)
RESULT = ROOT / "benchmarks" / "results" / "quality.json"
PLAN = {"base": (0, 1, 2), "ml1m": (0, 1, 2), "anime": (0, 1, 2)}
NAMES = {"base": "ml100k", "anime": "anime", "ml1m": "ml1m"}
BASELINES = ("popular", "item_knn", "implicit_als", "ease", "sequence", "text_ease", "irspack", "irspack_features")
HYBRIDS = ("hybrid_frozen", "hybrid_lora")
Matrix = sparse.csr_matrix
Values = dict[str, np.ndarray]
Scorer = Engine[Any]


@dataclass
class Trial:
    """One catalogue under one seed: data, both embeddings (made when they are needed), and the two sides of fits."""

    catalogue: Catalogue

    @cached_property
    def adapter(self) -> Adapter:
        """Of the language model, tuned on the catalogue's own options."""
        adapter, told = tuned(self.catalogue, lm_options(self.catalogue, {}))
        print(f"{self.catalogue.env} seed {self.catalogue.seed} LoRA {told}", flush=True)
        return adapter

    @cached_property
    def _lora(self) -> Embeddings:
        return embeddings(self.catalogue, self.adapter, lm_options(self.catalogue, {}))

    @property
    def whitening(self) -> Whitening:
        """Of the tuned embeddings."""
        return self._lora.whitening

    @cached_property
    def vectors(self) -> dict[str, np.ndarray]:
        """Embeddings (n_items, m), frozen and tuned."""
        frozen = embed(self.catalogue, None, lm_options(self.catalogue, {"peft": {"peft_type": "FROZEN"}}))
        return {"frozen": frozen, "lora": self._lora.vectors}

    @cached_property
    def holdout(self) -> Holdout:
        """The validation side."""
        d = self.catalogue
        meta_features = (d.matrix(c.TRAIN), d.matrix(c.VALIDATION), d.items, d.seed, d.matrix("order"))
        return Holdout.build(*meta_features, told=d.told)

    @cached_property
    def known(self) -> Matrix:
        """Train and validation rows."""
        return sparse.csr_matrix(self.catalogue.matrix(c.TRAIN) + self.catalogue.matrix(c.VALIDATION))

    @cached_property
    def warm(self) -> np.ndarray:
        """Items that the final fits learn from."""
        return np.asarray(self.known.sum(axis=0)).ravel() > 0

    @property
    def options(self) -> HybridOptions:
        """The catalogue's own."""
        return parse(HybridOptions, self.catalogue.params["hybrid_cf"], "hybrid_cf")

    def features(self, model: str) -> np.ndarray:
        """Tuned embeddings for the hybrid on them, frozen ones for everybody else."""
        return self.vectors["lora" if model == "hybrid_lora" else "frozen"]

    def final(self, engine: Scorer, model: str) -> Scorer:
        """Fit on train and validation."""
        return engine.fit(self.known, self.warm, self.features(model))


def make_trial(env: str, seed: int, **params: Any) -> Trial:
    """Prepare a catalogue."""
    return Trial(prepare(env, seed, **params))


def choose(trial: Trial, models: tuple[str, ...], protocol: str = "") -> dict[str, dict[str, Any]]:
    """Search every model's options with the same number of trials; other protocols have studies of their own."""
    h, o, d = trial.holdout, trial.options, trial.catalogue
    (ROOT / "data" / "bench").mkdir(parents=True, exist_ok=True)
    store = f"sqlite:///{ROOT / 'data' / 'bench' / 'quality.db'}"
    fixed = {"method": "tpe", "objectives": ["criterion"], "n_trials": N_TRIALS, "prune": False, "storage": store}
    tuning = parse(TuningOptions, d.params["tuning"] | fixed, "tuning")

    def evaluate(model: str) -> Callable[..., dict[str, float]]:
        def fit(settings: dict[str, Any], _: Any) -> dict[str, float]:
            features = trial.features(model)
            if model in HYBRIDS:
                return selection.measure(h, selection.fit_scorer(h, features, settings, o, d.seed), o)
            return selection.measure(h, build(model, settings, d.seed).fit(h.train, h.warm, features), o)

        return fit

    found: dict[str, dict[str, Any]] = {}
    for model in models:
        space = tuning.space.get("hybrid" if model in HYBRIDS else model, {})
        tried_first = [
            {key: v for key, v in flat(settings).items() if key in space}
            for settings in o.trials.get("hybrid" if model in HYBRIDS else model, [])
        ]
        outcome = search(model, space, evaluate(model), tuning, d.seed, f"{d.env} {d.seed}{protocol}", tried_first)
        found[model] = outcome.chosen
        best = outcome.trials["criterion"].max() if len(outcome.trials) else float("nan")
        print(f"{d.env} {model:17s} {best:.4f} {outcome.chosen}", flush=True)
    return found


def fit_all(trial: Trial, chosen: dict[str, dict[str, Any]]) -> tuple[dict[str, Scorer], dict[str, Any]]:
    """Fit every model on train + validation; the hybrids' gate and boosts come from validation. Also: what was chosen
    there.
    """
    h, o, seed = trial.holdout, trial.options, trial.catalogue.seed
    final: dict[str, Scorer] = {}
    on_validation = {}
    for model, settings in chosen.items():
        if model in HYBRIDS:
            scorer, fitted = selection.fit_hybrid(h, trial.features(model), settings, o, seed)
            accurate = scorer.with_boosts(scorer.options.boosts.off())
            on_validation[model] = h.measure(accurate, K) | {"prices": fitted.prices}
            final[model] = trial.final(Hybrid(accurate.options, seed, scorer.gate, told=h.told), model)
            on_validation[model] |= {"fusions": fitted.fusions, "tail_boost": fitted.boosts.tail_boost}
        else:
            engine = build(model, settings, seed).fit(h.train, h.warm, trial.features(model))
            on_validation[model] = h.measure(engine, K)
            final[model] = trial.final(build(model, settings, seed), model)
    return final, on_validation


def own_shift(trial: Trial, engine: Scorer, features: np.ndarray) -> Hybrid:
    """Return the frozen baseline's own scores under our boosts: text-prior iALS alone, its shift fitted as ours is."""
    h, o, seed = trial.holdout, trial.options, trial.catalogue.seed
    plain = o.mixture.model_copy(update={"fusions": ["linear"]})
    scorer = selection.fit_sources(h, features, {"ials": engine.options.model_dump()}, o, seed)
    cells = known_cells(scorer, h, plain, seed)
    gate, _, _ = fit_shift(scorer, BlendWeights(warm=BlendModel(only("mf")), cold=only("mf")), cells, h, plain, K)
    return Hybrid(scorer.options, seed, gate).fit(trial.known, trial.warm, features)


def spread(values: np.ndarray, users: np.ndarray, n_users: int) -> np.ndarray:
    """Return values of some users as values of all (n_users,), NaN for the rest."""
    out = np.full(n_users, np.nan)
    out[users] = values
    return out


def look(trial: Trial, engine: Any, k: int = K) -> tuple[Values, dict[str, float]]:
    """Return per-user NDCG@k on test (NaN without positives), and what mixed and warm lists expose."""
    d = trial.catalogue
    cold, seed = d.cold, d.seed
    seen = sparse.csr_matrix(trial.known + d.matrix(c.COLD_UNUSED))
    counted = sparse.csr_matrix(d.matrix(c.TEST) + d.matrix(c.COLD))
    users = np.flatnonzero(d.users[c.BUCKET] != "new")
    sets = {c.WARM: ~cold, c.COLD: cold, c.MIXED: np.ones(len(cold), bool)}
    ties = tie_ranks(seed, d.items[c.ITEM])
    found = recommend(engine, users, trial.known[users], seen[users], sets, k, ties)
    tail = np.asarray(d.items[c.BUCKET] == c.TAIL)
    wanted = {c.WARM: (c.WARM, ~cold), c.TAIL: (c.WARM, tail), c.COLD: (c.COLD, cold)}
    wanted |= {c.MIXED: (c.MIXED, sets[c.MIXED]), MIXED_COLD: (c.MIXED, cold)}
    values = {}
    for name, (lists, mask) in wanted.items():
        truth = keep_items(counted[users], mask)
        values[name] = spread(ndcg(hits(found[lists][0], truth), np.diff(truth.indptr), k), users, len(d.users))
    warm = Lists.build(found[c.WARM][0], popularity_metadata(d.items), candidates=~cold)
    return values, {"coverage": catalog_coverage(warm), "tail_coverage": tail_coverage(warm)}


def newcomers(trial: Trial, engine: Scorer) -> Values:
    """Return per-user NDCG@20 of warm lists for new users, by how many of their items are known."""
    d = trial.catalogue
    users = np.flatnonzero(d.users[c.BUCKET] == "new")
    places = keep_items(d.matrix(c.NEW_USER), ~d.cold)[users]
    ties, values = tie_ranks(d.seed, d.items[c.ITEM]), {}
    for n in NEWCOMERS:
        history = first_of_each_row(places, n)
        hidden = sparse.csr_matrix(places - history)
        hidden.eliminate_zeros()
        lists = recommend(engine, users, history, history, {c.WARM: ~d.cold}, K, ties)[c.WARM][0]
        values[f"new_{n}"] = spread(ndcg(hits(lists, hidden), np.diff(hidden.indptr), K), users, len(d.users))
    return values


class Turned:
    """A hybrid; its scores of all users stay (4 bytes a cell), to look at many settings of a boost."""

    def __init__(self, trial: Trial, scorer: Hybrid) -> None:
        known, size = trial.known, 512
        self.boosts = scorer.options.boosts.off()
        plain = scorer.with_boosts(self.boosts)
        rows = [np.arange(start, min(start + size, known.shape[0])) for start in range(0, known.shape[0], size)]
        blocks = [plain.score(known[at], at) for at in rows]
        self.scores, self.scorer = np.vstack(blocks), scorer
        self.common, self.known = plain.population_score(), np.diff(known.indptr) > 0

    def at(self, **settings: float) -> "Turned":
        """Return the same at other boosts."""
        other = copy.copy(self)
        other.boosts = self.boosts.model_copy(update=settings)
        return other

    def score(self, _: Matrix, users: np.ndarray) -> np.ndarray:
        """Return the scores of some users (B, n_items)."""
        of = self.scorer
        return apply_boosts(self.scores[users], self.boosts, of.warm, of.tail, self.common, self.known[users])


def dial_curves(trial: Trial, kept: Turned, prices: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the boosts' prices on test, beside those on validation."""
    rows = []
    for price in prices:
        values, shown = look(trial, kept.at(**{price["boost"]: price["value"]}))
        names = (c.MIXED, MIXED_COLD) if price["boost"] == "cold_boost" else (c.WARM, c.TAIL)
        accuracy, exposed = (float(np.nanmean(values[name])) for name in names)
        exposed = shown["coverage"] if price["boost"] == "popularity_debias" else exposed
        rows.append(price | {"test_accuracy": accuracy, "test_exposed": exposed} | shown)
    return rows


def one_seed(trial: Trial, chosen: dict[str, dict[str, Any]]) -> tuple[dict[str, Values], dict[str, Any]]:
    """Fit and look once; per model its values, and what else is worth telling."""
    models, on_validation = fit_all(trial, chosen)
    values, told = {}, {"seed": trial.catalogue.seed, "boosts": {}, "exposure": {}}
    for name, engine in models.items():
        found, told["exposure"][name] = look(trial, engine)
        values[name] = found | newcomers(trial, engine)
        means = {k: round(float(np.nanmean(v)), 4) for k, v in values[name].items()}
        print(f"{trial.catalogue.env} seed {trial.catalogue.seed} {name:17s} {means}", flush=True)
    for name in HYBRIDS:
        kept = Turned(trial, models[name])
        weight = on_validation[name]["tail_boost"]  # what mixture.max_tail_price affords on validation
        values[f"{name} on the tail boost"], _ = look(trial, kept.at(tail_boost=weight))
        curves = dial_curves(trial, kept, on_validation[name]["prices"])
        told["boosts"][name] = {"tail_boost": weight, "curves": curves}
        told["boosts"][name]["fusions"] = on_validation[name]["fusions"]
    own = own_shift(trial, models["irspack_features"], trial.vectors["frozen"])
    prices = [{"boost": "cold_boost", "value": v} for v in np.linspace(0, 1, 11).round(6).tolist()]
    told["boosts"]["irspack_features"] = {"curves": dial_curves(trial, Turned(trial, own), prices)}
    return values, told


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
    """Return mixed-cold NDCG at mixed >= 0.99 x the best ungated model's, averaged over seeds, from the test curves."""
    found = []
    for told in per_seed:
        curves = {name: [r for r in d["curves"] if r["boost"] == "cold_boost"] for name, d in told["boosts"].items()}
        limit = 0.99 * max(curve[0]["test_accuracy"] for curve in curves.values())
        select_operating_point = [r["test_exposed"] for r in curves[model] if r["test_accuracy"] >= limit]
        found.append(max(select_operating_point, default=0.0))
    return {"mixed_cold": float(np.mean(found)), "per_seed": found}


def kept_seed(
    trial: Trial, env: str, seed: int, chosen: dict[str, dict[str, Any]]
) -> tuple[dict[str, Values], dict[str, Any]]:
    """Return what :func:`one_seed` finds, from disk where this commit found it with these choices before."""
    key = hashlib.sha256(json.dumps([chosen, about("", [])["commit"]], sort_keys=True).encode()).hexdigest()[:12]
    path = ROOT / "data" / "bench" / f"quality_{env}_{seed}_{key}.npz"
    if path.is_file():
        with np.load(path, allow_pickle=False) as arrays:
            values: dict[str, Values] = {}
            for name in arrays.files:
                if name != "told":
                    model, which = name.split("|")
                    values.setdefault(model, {})[which] = arrays[name]
            return values, json.loads(str(arrays["told"]))
    values, told = one_seed(trial if trial.catalogue.seed == seed else make_trial(env, seed), chosen)
    flat_values = {f"{model}|{which}": v for model, found in values.items() for which, v in found.items()}
    np.savez(path.with_suffix(".part.npz"), told=json.dumps(told), **flat_values)  # type: ignore[arg-type]
    path.with_suffix(".part.npz").rename(path)
    return values, told


def measure(env: str, seeds: tuple[int, ...], keep: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Run one catalogue; ``keep`` is handed what there is after every seed, so that an interruption loses one."""
    per_seed, told, found = [], [], dict[str, Any]()
    trial = make_trial(env, 0)
    chosen = choose(trial, (*BASELINES, *HYBRIDS))
    for seed in seeds:
        values, rest = kept_seed(trial, env, seed, chosen)
        per_seed.append(values)
        told.append(rest)
        found = {"chosen": chosen} | joined(per_seed, told)
        keep(found)
    return found


def joined(per_seed: list[dict[str, Values]], told: list[dict[str, Any]]) -> dict[str, Any]:
    """Put the seeds of one catalogue together: means, comparisons, frontiers."""
    table = {
        name: {which: float(np.nanmean(mean_over_seeds(per_seed, name, which))) for which in per_seed[0][name]}
        for name in per_seed[0]
    }
    strong, fold_in = ["irspack_features", "ease"], ["popular", "item_knn", "irspack"]
    single = [*strong, "sequence"]
    compared: dict[str, Any] = {}
    for ours in HYBRIDS:
        compared[ours] = {
            "warm": against(per_seed, ours, strong, c.WARM),
            "warm_text_ease": against(per_seed, ours, ["text_ease"], c.WARM),
            "warm_sequence": against(per_seed, ours, ["sequence"], c.WARM),
            "cold": against(per_seed, ours, ["irspack_features"], c.COLD),
            "tail_on_dial": against(per_seed, f"{ours} on the tail boost", single, c.TAIL),
            "warm_on_dial": against(per_seed, f"{ours} on the tail boost", single, c.WARM),
        } | {f"new_{n}": against(per_seed, ours, fold_in, f"new_{n}") for n in NEWCOMERS}
    fronts = {name: frontier(told, name) for name in (*HYBRIDS, "irspack_features")}
    return {"table": table, "compared": compared, "frontier": fronts, "seeds": told}


def headline(results: dict[str, Any]) -> dict[str, float]:
    """Pick the figures that have targets, for the hybrid on tuned embeddings."""
    found = {}
    for env, result in results.items():
        for name, comparison in result["compared"]["hybrid_lora"].items():
            found[f"{env}_{name}_ratio"] = comparison["ratio"]
            found[f"{env}_{name}_ratio_low"] = comparison["ratio_low"]
        ours, own = (result["frontier"][name]["mixed_cold"] for name in ("hybrid_lora", "irspack_features"))
        found |= {f"{env}_frontier_mixed_cold": ours, f"{env}_frontier_mixed_cold_baseline": own}
    return {name: round(value, 4) for name, value in found.items()}


TARGETS = {
    "anime, ml1m: warm_ratio": ">= 1.03 of the better of irspack-with-features and EASE, low > 1",
    "anime, ml1m: warm_text_ease_ratio": ">= 1.01, low > 1",
    "anime, ml1m: tail_on_dial_ratio": ">= 1.5 at warm_on_dial_ratio >= 0.99",
    "anime, ml1m: cold_ratio": ">= 1.15",
    "frontier_mixed_cold": ">= 2 x the baseline's, both at mixed >= 0.99 x the best ungated model",
    "new_1_ratio, new_3_ratio, new_5_ratio": ">= 1.05 of the better of popular, item kNN and irspack's fold-in",
}


def main() -> None:
    """Run everything, or the catalogues named on the command line (written beside the whole result)."""
    logging.disable(logging.INFO)
    chosen = [arg for arg in sys.argv[1:] if not arg.startswith("--")] or list(PLAN)
    alone = [int(arg.removeprefix("--seed=")) for arg in sys.argv[1:] if arg.startswith("--seed=")]
    (ROOT / "data" / "bench").mkdir(parents=True, exist_ok=True)
    mlflow.set_tracking_uri(f"sqlite:///{ROOT / 'data' / 'bench' / 'mlflow.db'}")
    results: dict[str, Any] = {}
    for at, env in enumerate(chosen, start=1):

        def keep(found: dict[str, Any], env: str = env, done: list[str] = chosen[:at]) -> None:
            results[NAMES[env]] = found
            seeds = sorted({told["seed"] for result in results.values() for told in result["seeds"]})
            whole = set(done) == set(PLAN)
            path = RESULT if whole else RESULT.with_name(f"quality_{'_'.join(NAMES[e] for e in done)}.json")
            command = "make bench-quality" if whole else f"python benchmarks/quality.py {' '.join(done)}"
            report = {"headline": headline(results), "targets": TARGETS, "trials": N_TRIALS, "results": results}
            write(path, report | about(command, seeds))

        if alone:
            measure(env, tuple(alone), lambda _: None)
            continue
        measure(env, PLAN[env], keep)
        RESULT.with_name(f"quality_{'_'.join(NAMES[e] for e in chosen[: at - 1])}.json").unlink(missing_ok=True)


if __name__ == "__main__":
    main()
