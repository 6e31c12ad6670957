"""Optuna over one model's options: seeded, resumable, every trial a nested MLflow run."""

import hashlib
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import mlflow
import optuna
import pandas as pd
from optuna.trial import FrozenTrial, Trial, TrialState
from pydantic import TypeAdapter

from tailor.errors import ConfigurationError
from tailor.options import Choices, Space, TuningOptions
from tailor.pipelines.tuning import trials
from tailor.types import JsonObject, Parameters

log = logging.getLogger(__name__)
#: Column of the figures before and after: values that were chosen at an end of their dimension.
BORDER = "at a border of the space"
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
    comparison: list[JsonObject] = field(default_factory=list)
    """A row per objective: the best of the defaults before, the chosen option set after, what lies at a border."""


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

    The defaults are tried first and to their end, each exactly as it is, whatever the space and ``n_trials`` are: a
    search never ends below them. A trial whose process was killed is tried again.

    Args:
        model: its name in parameters.
        space: its dimensions; without any, nothing is searched.
        evaluate: fits and measures an option set.
        options: sampler, objectives, storage.
        seed: each trial draws from ``seed`` and its number, so that one worker, stopped at any time, resumes to what it
            would have found uninterrupted.
        identity: hash of the data; other data start a study of their own.
        defaults: option sets (flat, with a value for every dimension) that hybrid_cf.trials would try.

    Raises:
        ConfigurationError: the storage cannot be opened, or a trial measures what is no finite number.
    """
    if options.method == "none" or not space:
        return Outcome(model, {}, pd.DataFrame(), {})
    study = _study(model, space, options, identity)
    trials.repeat_killed(study)
    n_trials = max(options.n_trials, trials.enqueue_defaults(study, space, defaults))
    while _finished(study) < n_trials:
        study.sampler = _sampler(options.method, seed + _started(study))
        _run(study, model, space, evaluate, options)
        _tell_progress(study, model, n_trials, options)
    chosen = choose(study, options)
    settings = trials.settings_of(chosen)
    log.info("%s: trial %d of %d chosen, %s", model, chosen.number, len(study.trials), settings)
    return Outcome(
        model,
        nest(settings),
        _table(model, study, options, chosen.number),
        _importances(study),
        _compare(model, study, chosen, space, options),
    )


def _study(model: str, space: Space, options: TuningOptions, identity: str) -> optuna.Study:
    """Open the study of one model: other data, another sampler or another space of its own make it another one."""
    how = options.model_dump_json(exclude={"n_trials", "storage", "min_warm", "space"})
    description = f"{identity}|{how}|{TypeAdapter(Space).dump_json(space).decode()}"
    name = f"{model}-{hashlib.sha256(description.encode()).hexdigest()[:12]}"
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        if options.storage.startswith("sqlite:///"):
            Path(options.storage.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
        return optuna.create_study(
            study_name=name,
            storage=options.storage,
            directions=["maximize"] * len(options.objectives),
            pruner=optuna.pruners.MedianPruner(n_startup_trials=5),
            load_if_exists=True,
        )
    except (OSError, optuna.exceptions.StorageInternalError, ImportError) as exc:
        raise ConfigurationError(f"tuning.storage = '{options.storage}' cannot be opened: {exc}") from exc


def _sampler(method: str, seed: int) -> optuna.samplers.BaseSampler:
    makers: dict[str, Callable[[], optuna.samplers.BaseSampler]] = {
        "tpe": lambda: optuna.samplers.TPESampler(seed=seed, n_startup_trials=8),
        "nsga2": lambda: optuna.samplers.NSGAIISampler(seed=seed, population_size=12),
        "random": lambda: optuna.samplers.RandomSampler(seed=seed),
    }
    return makers[method]()


def _finished(study: optuna.Study) -> int:
    return len(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED)))


def _started(study: optuna.Study) -> int:
    """Count trials but for those that failed, which are repeated under another number."""
    return sum(trial.state != TrialState.FAIL for trial in study.get_trials(deepcopy=False))


def _run(study: optuna.Study, model: str, space: Space, evaluate: Evaluate, options: TuningOptions) -> None:
    """Ask for one trial, evaluate it in a nested MLflow run, tell."""
    trial = study.ask()
    trials.sign(trial)
    default = trials.default_of(trial)
    flat = suggest(trial, space) if default is None else default
    if default is not None:
        suggest(trial, trials.dimensions_with(space, default))

    def report(value: float) -> None:
        if options.prune and len(options.objectives) == 1:
            trial.report(_finite(model, flat, "the factorization's criterion", value), step=0)
            if default is None and trial.should_prune():
                raise optuna.TrialPruned

    with mlflow.start_run(run_name=f"{model}-{trial.number}", nested=True):
        mlflow.log_params(flat)
        try:
            values = evaluate(nest(flat), report)
            objectives = [_finite(model, flat, name, values[name]) for name in options.objectives]
        except optuna.TrialPruned:
            mlflow.set_tag("state", "pruned")
            study.tell(trial, state=TrialState.PRUNED)
            return
        except Exception:
            study.tell(trial, state=TrialState.FAIL)
            raise
        except BaseException:  # stopped from outside
            trials.repeat(study, trial.number)
            raise
        mlflow.log_metrics(values)
        for name, value in values.items():
            trial.set_user_attr(name, value)
        study.tell(trial, objectives)


def _finite(model: str, settings: Parameters, name: str, value: float) -> float:
    """Return a value.

    Raises:
        ConfigurationError: it is no finite number.
    """
    if not math.isfinite(value):
        space = "hybrid" if model.startswith("hybrid") else model
        raise ConfigurationError(
            f"tuning: {model} with {settings} has {name} = {value} on validation, which is no finite number. Take "
            f"these options out of tuning.space.{space} and hybrid_cf.trials.{space}, then run tuning again."
        )
    return value


def _tell_progress(study: optuna.Study, model: str, n_trials: int, options: TuningOptions) -> None:
    """Log how many trials are finished, and the best value of the first objective so far."""
    name = options.objectives[0]
    done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if done:
        best = max(done, key=lambda trial: _values(trial)[0])
        log.info(
            "%s: trial %d of %d, best %s so far %.4f (trial %d)",
            model,
            _finished(study),
            n_trials,
            name,
            _values(best)[0],
            best.number,
        )


def choose(study: optuna.Study, options: TuningOptions) -> FrozenTrial:
    """Return the best trial; of a Pareto front, the rule of ``options.min_warm``."""
    return study.best_trial if len(options.objectives) == 1 else _best(study.best_trials, options)


def _best(front: list[FrozenTrial], options: TuningOptions) -> FrozenTrial:
    if len(options.objectives) == 1 or "warm" not in options.objectives:
        return max(front, key=lambda t: sum(_values(t)))
    inner = options.objectives.index("warm")
    limit = options.min_warm * max(_values(t)[inner] for t in front)
    affordable = [t for t in front if _values(t)[inner] >= limit]
    return max(affordable, key=lambda t: (sum(_values(t)) - _values(t)[inner], _values(t)[inner]))


def _compare(
    model: str, study: optuna.Study, chosen: FrozenTrial, space: Space, options: TuningOptions
) -> list[JsonObject]:
    """Return a row per objective: what the best of the defaults reaches, what the chosen trial does, its borders."""
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    defaults = [trial for trial in complete if trials.default_of(trial) is not None]
    before = _values(_best(defaults, options)) if defaults else [float("nan")] * len(options.objectives)
    borders = trials.borders(space, trials.settings_of(chosen))
    return [
        {
            "model": model,
            "objective": name,
            "trials": _finished(study),
            "before": old,
            "after": new,
            BORDER: "; ".join(borders) or "nothing",
        }
        for name, old, new in zip(options.objectives, before, _values(chosen), strict=True)
    ]


def _table(model: str, study: optuna.Study, options: TuningOptions, chosen: int) -> pd.DataFrame:
    front = {trial.number for trial in study.best_trials}
    rows = [
        {
            "model": model,
            "number": trial.number,
            "state": trial.state.name.lower(),
            "options": str(trials.settings_of(trial)),
            **{name: trial.user_attrs.get(name, float("nan")) for name in options.objectives},
            "on_front": trial.number in front,
            "chosen": trial.number == chosen,
        }
        for trial in study.trials
    ]
    return pd.DataFrame(rows)


def _importances(study: optuna.Study) -> dict[str, float]:
    """PED-ANOVA (Watanabe et al. 2023) on the first objective; empty with too few trials, or when all are alike.

    The evaluator looks at what reaches low values, hence the sign.
    """
    evaluator = optuna.importance.PedAnovaImportanceEvaluator()
    try:
        return dict(
            optuna.importance.get_param_importances(study, evaluator=evaluator, target=lambda t: -_values(t)[0])
        )
    except (ValueError, RuntimeError):
        return {}


def _values(trial: FrozenTrial) -> list[float]:
    return list(trial.values)
