"""Optuna over one model's options: seeded, resumable, every trial a nested MLflow run."""

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import mlflow
import optuna
import pandas as pd
from optuna.trial import FrozenTrial, Trial, TrialState
from pydantic import TypeAdapter

from tailor.errors import ConfigurationError
from tailor.options import Choices, Space, TuningOptions
from tailor.types import JsonObject, Parameters

log = logging.getLogger(__name__)
#: Fits and measures one option set: (settings, report) -> value per objective. ``report`` may raise TrialPruned.
Evaluate = Callable[[JsonObject, Callable[[float], None]], dict[str, float]]


@dataclass(frozen=True)
class Outcome:
    """What a search found for one model."""

    model: str
    chosen: Parameters
    """Nested option set; empty where nothing was searched."""
    trials: pd.DataFrame
    """model, number, state, options, a column per objective, on_front, chosen."""
    importances: dict[str, float]
    """How much each dimension moves the first objective."""


def nest(flat: Parameters) -> Parameters:
    """Turn ``{"ials.alpha": 1}`` into ``{"ials": {"alpha": 1}}``."""
    out: JsonObject = {}
    for key, value in flat.items():
        *parents, last = key.split(".")
        inner = out
        for parent in parents:
            inner = inner.setdefault(parent, {})
        inner[last] = value
    return out


def flat(settings: Parameters, prefix: str = "") -> Parameters:
    """Undo :func:`nest`."""
    out: JsonObject = {}
    for key, value in settings.items():
        out |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return out


def suggest(trial: Trial, space: Space) -> Parameters:
    """Draw one option set; intervals on a logarithmic scale."""
    return {
        name: trial.suggest_categorical(name, dimension.choices)
        if isinstance(dimension, Choices)
        else trial.suggest_float(name, *dimension, log=True)
        for name, dimension in space.items()
    }


def search(
    model: str,
    space: Space,
    evaluate: Evaluate,
    options: TuningOptions,
    seed: int,
    identity: str,
    defaults: list[Parameters],
) -> Outcome:
    """Search one model's space until ``options.n_trials`` trials are finished, those of earlier calls counted.

    Args:
        model: its name in parameters.
        space: its dimensions; without any, nothing is searched.
        evaluate: fits and measures an option set.
        options: sampler, objectives, storage.
        seed: each trial draws from ``seed`` and its number, so that one worker, stopped between trials, resumes to what
            it would have found uninterrupted.
        identity: hash of the data; other data start a study of their own.
        defaults: option sets (flat) that are tried first, those that hybrid_cf.trials would try.

    Raises:
        ConfigurationError: the storage cannot be opened.
    """
    if options.method == "none" or not space:
        return Outcome(model, {}, pd.DataFrame(), {})
    study = _study(model, space, options, identity, defaults)
    while _finished(study) < options.n_trials:
        study.sampler = _sampler(options.method, seed + len(study.get_trials(deepcopy=False)))
        _run(study, model, space, evaluate, options)
    chosen = choose(study, options)
    log.info("%s: trial %d of %d chosen, %s", model, chosen.number, len(study.trials), chosen.params)
    return Outcome(model, nest(chosen.params), _table(model, study, options, chosen.number), _importances(study))


def _study(model: str, space: Space, options: TuningOptions, identity: str, defaults: list[Parameters]) -> optuna.Study:
    """Open the study of one model: other data, another sampler or another space of its own make it another one."""
    how = options.model_dump_json(exclude={"n_trials", "storage", "min_warm", "space"})
    description = f"{identity}|{how}|{TypeAdapter(Space).dump_json(space).decode()}"
    name = f"{model}-{hashlib.sha256(description.encode()).hexdigest()[:12]}"
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        if options.storage.startswith("sqlite:///"):
            Path(options.storage.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
        study = optuna.create_study(
            study_name=name,
            storage=options.storage,
            directions=["maximize"] * len(options.objectives),
            pruner=optuna.pruners.MedianPruner(n_startup_trials=5),
            load_if_exists=True,
        )
    except (OSError, optuna.exceptions.StorageInternalError, ImportError) as exc:
        raise ConfigurationError(f"tuning.storage = '{options.storage}' cannot be opened: {exc}") from exc
    known = study.get_trials(deepcopy=False)
    for settings in defaults if not known else []:
        study.enqueue_trial(settings)
    return study


def _sampler(method: str, seed: int) -> optuna.samplers.BaseSampler:
    makers: dict[str, Callable[[], optuna.samplers.BaseSampler]] = {
        "tpe": lambda: optuna.samplers.TPESampler(seed=seed, n_startup_trials=8),
        "nsga2": lambda: optuna.samplers.NSGAIISampler(seed=seed, population_size=12),
        "random": lambda: optuna.samplers.RandomSampler(seed=seed),
    }
    return makers[method]()


def _finished(study: optuna.Study) -> int:
    return len(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED)))


def _run(study: optuna.Study, model: str, space: Space, evaluate: Evaluate, options: TuningOptions) -> None:
    """Ask for one trial, evaluate it in a nested MLflow run, tell."""
    trial = study.ask()
    flat = suggest(trial, space)

    def report(value: float) -> None:
        if options.prune and len(options.objectives) == 1:
            trial.report(value, step=0)
            if trial.should_prune():
                raise optuna.TrialPruned

    with mlflow.start_run(run_name=f"{model}-{trial.number}", nested=True):
        mlflow.log_params(flat)
        try:
            values = evaluate(nest(flat), report)
        except optuna.TrialPruned:
            mlflow.set_tag("state", "pruned")
            study.tell(trial, state=TrialState.PRUNED)
            return
        except BaseException:
            study.tell(trial, state=TrialState.FAIL)
            raise
        mlflow.log_metrics(values)
        for name, value in values.items():
            trial.set_user_attr(name, value)
        study.tell(trial, [values[name] for name in options.objectives])


def choose(study: optuna.Study, options: TuningOptions) -> FrozenTrial:
    """Return the best trial; of a Pareto front, the rule of ``options.min_warm``."""
    if len(options.objectives) == 1:
        return study.best_trial
    front = study.best_trials
    if "warm" not in options.objectives:
        return max(front, key=lambda t: sum(_values(t)))
    inner = options.objectives.index("warm")
    limit = options.min_warm * max(_values(t)[inner] for t in front)
    affordable = [t for t in front if _values(t)[inner] >= limit]
    return max(affordable, key=lambda t: (sum(_values(t)) - _values(t)[inner], _values(t)[inner]))


def _table(model: str, study: optuna.Study, options: TuningOptions, chosen: int) -> pd.DataFrame:
    front = {trial.number for trial in study.best_trials}
    rows = [
        {
            "model": model,
            "number": trial.number,
            "state": trial.state.name.lower(),
            "options": str(trial.params),
            **{name: trial.user_attrs.get(name, float("nan")) for name in options.objectives},
            "on_front": trial.number in front,
            "chosen": trial.number == chosen,
        }
        for trial in study.trials
    ]
    return pd.DataFrame(rows)


def _importances(study: optuna.Study) -> dict[str, float]:
    """PED-ANOVA (Watanabe et al. 2023) on the first objective; empty with too few trials, or when all are alike."""
    evaluator = optuna.importance.PedAnovaImportanceEvaluator()
    try:
        return dict(optuna.importance.get_param_importances(study, evaluator=evaluator, target=lambda t: _values(t)[0]))
    except (ValueError, RuntimeError):
        return {}


def _values(trial: FrozenTrial) -> list[float]:
    return list(trial.values)
