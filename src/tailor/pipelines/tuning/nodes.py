"""Nodes of ``tuning``. None of them has a test row among its inputs."""

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import plotly.express as px
import plotly.graph_objects as go
from scipy import sparse

from tailor.config import parse
from tailor.data.side_features import SideFeatures
from tailor.hybrid import selection
from tailor.hybrid.holdout import Holdout
from tailor.lm.embeddings import Embeddings
from tailor.models.registry import build
from tailor.options import HybridOptions, TuningOptions
from tailor.pipelines.tuning.search import Evaluate, Outcome, flat, search


def _options(params: dict[str, Any], hybrid: dict[str, Any]) -> tuple[TuningOptions, HybridOptions]:
    return parse(TuningOptions, params, "tuning"), parse(HybridOptions, hybrid, "hybrid_cf")


def _identity(holdout: Holdout, features: np.ndarray) -> str:
    parts = (holdout.train, holdout.validation)
    digest = hashlib.sha256(features.tobytes())
    for matrix in parts:
        digest.update(matrix.indptr.tobytes() + matrix.indices.tobytes())
    return digest.hexdigest()[:16]


def _search(
    model: str,
    rung: str,
    evaluate: Evaluate,
    holdout: Holdout,
    features: np.ndarray,
    o: TuningOptions,
    h: HybridOptions,
    seed: int,
) -> Outcome:
    """Search one model; what hybrid_cf.trials lists is tried first, as far as the space has its dimensions."""
    space = o.space.get(rung, {})
    known = [{k: v for k, v in flat(s).items() if k in space} for s in h.trials.get(rung, [])]
    return search(model, space, evaluate, o, seed, _identity(holdout, features), known)


def tune_baselines(
    train: sparse.csr_matrix,
    validation: sparse.csr_matrix,
    items: pd.DataFrame,
    embeddings: Embeddings,
    params: dict[str, Any],
    hybrid: dict[str, Any],
    seed: int,
) -> list[Outcome]:
    """Search every baseline that has a space, with the same number of trials each."""
    o, h = _options(params, hybrid)
    holdout, features = Holdout.build(train, validation, items, seed), embeddings.vectors

    def evaluate(name: str) -> Evaluate:
        def fit(settings: dict[str, Any], report: Callable[[float], None]) -> dict[str, float]:  # noqa: ARG001
            engine = build(name, settings, seed).fit(holdout.train, holdout.warm, features)
            return selection.measure(holdout, engine, h)

        return fit

    return [
        _search(name, name, evaluate(name), holdout, features, o, h, seed)
        for name in selection.ladder(h)
        if name in o.space
    ]


def _tune_hybrid(
    model: str,
    train: sparse.csr_matrix,
    validation: sparse.csr_matrix,
    items: pd.DataFrame,
    told: dict[str, Any],
    embeddings: Embeddings,
    params: dict[str, Any],
    hybrid: dict[str, Any],
    seed: int,
) -> Outcome:
    """Search the hybrid's arms; a trial may be given up after its factorization."""
    o, h = _options(params, hybrid)
    holdout = Holdout.build(train, validation, items, seed, told=SideFeatures(**told))
    features = embeddings.vectors

    def evaluate(settings: dict[str, Any], report: Callable[[float], None]) -> dict[str, float]:
        mf = selection.fit_factors(holdout, features, settings, h, seed)
        report(selection.measure(holdout, mf, h)["criterion"])
        return selection.measure(holdout, selection.fit_scorer(holdout, features, settings, h, seed, mf), h)

    return _search(model, "hybrid", evaluate, holdout, features, o, h, seed)


def tune_frozen(**inputs: Any) -> Outcome:
    """Search the hybrid on frozen embeddings."""
    return _tune_hybrid("hybrid_frozen", **inputs)


def tune_lora(**inputs: Any) -> Outcome:
    """Search the hybrid on tuned embeddings."""
    return _tune_hybrid("hybrid_lora", **inputs)


def choose(
    baselines: list[Outcome], frozen: Outcome, lora: Outcome
) -> tuple[dict[str, Any], pd.DataFrame, pd.DataFrame]:
    """Write the chosen options as parameters, the table of all trials, and the importances."""
    outcomes = [*baselines, frozen, lora]
    tuned = {
        "baselines": {o.model: o.chosen for o in baselines if o.chosen},
        "hybrid_frozen": frozen.chosen,
        "hybrid_lora": lora.chosen,
    }
    rows = [
        {"model": o.model, "option": option, "importance": value}
        for o in outcomes
        for option, value in o.importances.items()
    ]
    weights = pd.DataFrame(rows, columns=["model", "option", "importance"])
    tried = [o.trials for o in outcomes if len(o.trials)]
    columns = ["model", "number", "state", "options", "on_front", "chosen"]
    trials = pd.concat(tried, ignore_index=True) if tried else pd.DataFrame(columns=columns)
    return {"tuned": tuned}, trials, weights


def plot(trials: pd.DataFrame, weights: pd.DataFrame, params: dict[str, Any]) -> tuple[go.Figure, go.Figure, go.Figure]:
    """Draw the Pareto front (or, with one objective, all values), the best so far by trial, and the importances."""
    names = parse(TuningOptions, params, "tuning").objectives
    finished = trials[trials["state"] == "complete"].reset_index(drop=True)
    if not len(finished):
        empty = go.Figure().update_layout(title="tuning.method is none: nothing was searched")
        return empty, empty, empty
    first, second = names[0], names[min(1, len(names) - 1)]
    size = {"symbol": "on_front"} if len(names) > 1 else {}
    front = px.scatter(finished, x=first, y=second, color="model", hover_data=["number", "options", *names], **size)
    best = finished.assign(best=finished.groupby("model")[first].cummax())
    history = px.line(best, x="number", y="best", color="model", markers=True, labels={"best": f"best {first} so far"})
    bars = px.bar(weights, x="importance", y="option", color="model", barmode="group", orientation="h")
    titles = ("Trials on validation, NDCG@k", f"Search history: {first}", f"What moves {first} (PED-ANOVA)")
    figures = [f.update_layout(title=t) for f, t in zip((front, history, bars), titles, strict=True)]
    return figures[0], figures[1], figures[2]
