"""Nodes of ``tuning``. None of them has a test row among its inputs."""

import hashlib
from collections.abc import Callable

import numpy as np
import pandas as pd
import plotly.express as px
import plotly.graph_objects as go

from tailor.config import parse
from tailor.data.config import DataProcessingOptions
from tailor.errors import ConfigurationError, did_you_mean
from tailor.hybrid import selection
from tailor.hybrid.config import HybridOptions
from tailor.hybrid.holdout import Holdout
from tailor.hybrid.sources import SOURCES
from tailor.hybrid.strengths import searched_kinds, with_other_strengths
from tailor.lm.embeddings import Embeddings
from tailor.models.base import FittedModel, TrainSet
from tailor.models.registry import build, model_class
from tailor.options import Choices, Interval, Space, TuningOptions
from tailor.pipelines.tuning.search import BORDER, Evaluate, Outcome, flat, search
from tailor.types import JsonObject, Parameters

#: The search of the strengths of kinds of behaviour: its key in ``tuning.space`` and in what is chosen.
EVENTS = "events"
#: Where a strength is searched that parameters say nothing of: from it on, to this share of what a hit has.
_LEAST_STRENGTH, _SHARE_OF_A_HIT = 0.02, 0.99


def _options(params: Parameters, hybrid: Parameters, holdout: Holdout) -> tuple[TuningOptions, HybridOptions]:
    options = parse(HybridOptions, hybrid, "hybrid_cf")
    return parse(TuningOptions, params, "tuning"), selection.without_order(options, holdout)


def _identity(data: TrainSet, holdout: Holdout) -> str:
    digest = hashlib.sha256(np.ascontiguousarray(data.item_features).tobytes())
    for matrix in (data.interactions, holdout.validation):
        digest.update(matrix.indptr.tobytes() + matrix.indices.tobytes())
    if data.confidence is not None:
        digest.update(data.confidence.data.tobytes())
    return digest.hexdigest()[:16]


def _filled(space: Space, settings: Parameters, complete: Parameters) -> Parameters:
    """Return an option set (flat) with the model's defaults for the dimensions of the space that it leaves open."""
    defaults = {name: value for name, value in flat(complete).items() if name in space}
    return defaults | flat(settings)


def default_sets(name: str, space: Space, hybrid: HybridOptions) -> list[Parameters]:
    """Return the option sets (flat) of a baseline that hybrid_cf.trials would try, open dimensions filled in.

    Args:
        name: of the baseline.
        space: its dimensions.
        hybrid: options with its trials; without any, the model's defaults are its one option set.
    """
    config = model_class(name).config_class
    sets = hybrid.trials.get(name) or [{}]
    filled = [parse(config, settings, f"hybrid_cf.trials.{name}").model_dump(mode="json") for settings in sets]
    return [_filled(space, *both) for both in zip(sets, filled, strict=True)]


def hybrid_default_sets(space: Space, hybrid: HybridOptions) -> list[Parameters]:
    """Return the option sets (flat) of the hybrid that hybrid_cf.trials would try, open dimensions filled in."""
    sets = hybrid.trials.get(selection.HYBRID) or [{}]
    configs = [hybrid.hybrid_config(settings).model_dump(mode="json") for settings in sets]
    complete = [config["sources"] | {"cold_items": config["cold_items"]} for config in configs]
    return [_filled(space, *both) for both in zip(sets, complete, strict=True)]


def _used(space: Space, hybrid: HybridOptions) -> Space:
    """Leave out the dimensions of sources that the hybrid does without: they would change nothing."""
    unused = {name for name in SOURCES if hybrid.sources.get(name) is None}
    return {name: dimension for name, dimension in space.items() if name.partition(".")[0] not in unused}


def tune_baselines(
    holdout: Holdout, embeddings: Embeddings, params: Parameters, hybrid: Parameters, seed: int
) -> list[Outcome]:
    """Search every baseline that has a space, with the same number of trials each."""
    options, hybrid_options = _options(params, hybrid, holdout)
    selection.check_names(set(options.space) - {EVENTS}, hybrid_options, "tuning.space")
    data = holdout.train_set(embeddings.vectors)

    def evaluate(name: str) -> Evaluate:
        def fit(settings: Parameters, report: Callable[[float], None]) -> dict[str, float]:  # noqa: ARG001
            return selection.measure(holdout, build(name, settings, seed).fit(data), hybrid_options)

        return fit

    outcomes = []
    for name in selection.baseline_names(hybrid_options):
        if name in options.space:
            known = default_sets(name, options.space[name], hybrid_options)
            outcomes.append(
                search(name, options.space[name], evaluate(name), options, seed, _identity(data, holdout), known)
            )
    return outcomes


def tune_hybrid(
    model: str, holdout: Holdout, embeddings: Embeddings, params: Parameters, hybrid: Parameters, seed: int
) -> Outcome:
    """Search the hybrid's sources, unless the encoder is left out; a trial may be given up after its factorization."""
    options, hybrid_options = _options(params, hybrid, holdout)
    if embeddings.is_empty:
        return Outcome(model, {}, pd.DataFrame(), {})
    data, hybrid_options = holdout.train_set(embeddings.vectors), hybrid_options.with_parts(embeddings.dimensions)

    def evaluate(settings: Parameters, report: Callable[[float], None]) -> dict[str, float]:
        fitted: dict[str, FittedModel] = {}
        if hybrid_options.sources.get("ials") is not None:
            fitted["ials"] = selection.fit_factors(data, settings, hybrid_options, seed)
            report(selection.measure(holdout, fitted["ials"], hybrid_options)["criterion"])
        scorer = selection.fit_scorer(holdout, data, settings, hybrid_options, seed, fitted)
        return selection.measure(holdout, scorer, hybrid_options)

    space = _used(options.space.get("hybrid", {}), hybrid_options)
    known = hybrid_default_sets(space, hybrid_options)
    return search(model, space, evaluate, options, seed, _identity(data, holdout), known)


def tune_frozen(holdout: Holdout, embeddings: Embeddings, params: Parameters, hybrid: Parameters, seed: int) -> Outcome:
    """Search the hybrid on frozen embeddings."""
    return tune_hybrid("hybrid_frozen", holdout, embeddings, params, hybrid, seed)


def tune_lora(holdout: Holdout, embeddings: Embeddings, params: Parameters, hybrid: Parameters, seed: int) -> Outcome:
    """Search the hybrid on tuned embeddings."""
    return tune_hybrid("hybrid_lora", holdout, embeddings, params, hybrid, seed)


def events_space(space: Space, known: dict[str, float], least: float) -> Space:
    """Return the dimensions of the strengths of kinds: those that parameters name, else every kind that is searched.

    All of them end below what counts as a hit: else a kind could become one, and lists would be measured on other rows.

    Args:
        space: what parameters name.
        known: the present strength of each kind that is searched.
        least: strength that counts as a hit.

    Raises:
        ConfigurationError: parameters name a kind whose strength is not searched, or a strength that counts as a hit.
    """
    for kind, dimension in space.items():
        if kind not in known:
            names = ", ".join(known) or "none"
            raise ConfigurationError(
                f"tuning.space.{EVENTS} names '{kind}', whose strength is not searched.{did_you_mean(kind, known)} "
                f"Kinds that are above 0 and weaker than what lists are measured on: {names}."
            )
        if _greatest(dimension) >= least:
            raise ConfigurationError(
                f"tuning.space.{EVENTS}.{kind} reaches {_greatest(dimension):g}, but a pair of {least:g} counts as a "
                f"hit (data_processing.events): end it below {least:g}."
            )
    most = _SHARE_OF_A_HIT * least
    return space or dict.fromkeys(known, (min(_LEAST_STRENGTH, most / 2), most))


def _greatest(dimension: Interval | Choices) -> float:
    return float(max(dimension.choices if isinstance(dimension, Choices) else dimension))


def tune_events(
    holdout: Holdout,
    embeddings: Embeddings,
    params: Parameters,
    hybrid: Parameters,
    data: Parameters,
    tuned: Parameters,
    seed: int,
) -> Outcome:
    """Search the strengths of kinds of behaviour, where the catalogue tells kinds apart.

    What a strength is worth is measured on EASE with its first option set, whose fit is a closed form. ``tuned``: the
    strengths of an earlier search, which the data were read by.
    """
    options, hybrid_options = _options(params, hybrid, holdout)
    events = parse(DataProcessingOptions, data, "data_processing").events.with_weights(tuned)
    known = searched_kinds(events)
    space = events_space(options.space.get(EVENTS, {}), known, events.least_of_hit)
    settings = (hybrid_options.trials.get("ease") or [{}])[0]

    def evaluate(strengths: Parameters, report: Callable[[float], None]) -> dict[str, float]:  # noqa: ARG001
        changed = with_other_strengths(holdout, known, strengths)
        model = build("ease", settings, seed).fit(changed.train_set(embeddings.vectors))
        return selection.measure(changed, model, hybrid_options)

    identity = _identity(holdout.train_set(embeddings.vectors), holdout)
    return search(EVENTS, space, evaluate, options, seed, identity, [{kind: known[kind] for kind in space}])


def choose(
    baselines: list[Outcome], frozen: Outcome, lora: Outcome, events: Outcome
) -> tuple[JsonObject, pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Return the chosen options as parameters, all trials, the importances, and the figures before and after."""
    outcomes = [*baselines, frozen, lora, events]
    tuned = {
        "baselines": {outcome.model: outcome.chosen for outcome in baselines if outcome.chosen},
        "hybrid_frozen": frozen.chosen,
        "hybrid_lora": lora.chosen,
        EVENTS: events.chosen,
    }
    rows = [
        {"model": outcome.model, "option": option, "importance": value}
        for outcome in outcomes
        for option, value in outcome.importances.items()
    ]
    weights = pd.DataFrame(rows, columns=["model", "option", "importance"])
    tried = [outcome.trials for outcome in outcomes if len(outcome.trials)]
    columns = ["model", "number", "state", "options", "on_front", "chosen"]
    trials = pd.concat(tried, ignore_index=True) if tried else pd.DataFrame(columns=columns)
    compared = [row for outcome in outcomes for row in outcome.comparison]
    summary = pd.DataFrame(compared, columns=["model", "objective", "trials", "before", "after", BORDER])
    return {"tuned": tuned}, trials, weights, summary


def plot(trials: pd.DataFrame, weights: pd.DataFrame, params: Parameters) -> tuple[go.Figure, go.Figure, go.Figure]:
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
