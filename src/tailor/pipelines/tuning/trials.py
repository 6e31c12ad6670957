"""Trials of a study that are more than what its sampler draws: defaults, and those whose process was killed."""

import contextlib
import json
import math
import os
import socket
import uuid
from collections.abc import Iterable
from typing import Any

import optuna
from optuna.trial import FrozenTrial, Trial, TrialState

from tailor.options import Choices, Space
from tailor.types import Parameters

#: Attributes of a trial: the option set of hybrid_cf.trials that it is, and the process that works on it.
_DEFAULT, _WORKER = "default", "worker"
#: This process; its number alone may have been another one's before.
_ME = [socket.gethostname(), os.getpid(), uuid.uuid4().hex]
#: Share of an interval's width, on its logarithmic scale, that counts as its border.
_BORDER = 0.02


def enqueue_defaults(study: optuna.Study, space: Space, defaults: Iterable[Parameters]) -> int:
    """Put those defaults in line that the study has not tried yet; return how many there are.

    Args:
        study: of one model.
        space: its dimensions.
        defaults: option sets (flat). What the space does not hold, a dimension or a value, is tried all the same.
    """
    known = [default_of(trial) for trial in study.get_trials(deepcopy=False) if trial.state != TrialState.FAIL]
    distinct: list[Parameters] = []
    for given in defaults:
        settings = json.loads(json.dumps(given))  # as the storage returns it
        if settings in distinct:
            continue
        distinct.append(settings)
        if settings not in known:
            inside = {name: settings[name] for name in dimensions_with(space, settings)}
            study.enqueue_trial(inside, user_attrs={_DEFAULT: settings})
    return len(distinct)


def dimensions_with(space: Space, settings: Parameters) -> Space:
    """Return the dimensions that hold the value an option set has for them."""
    return {name: dim for name, dim in space.items() if name in settings and _holds(dim, settings[name])}


def default_of(trial: Trial | FrozenTrial) -> Parameters | None:
    """Return the option set of hybrid_cf.trials that a trial is, None for one that was drawn."""
    settings: Parameters | None = trial.user_attrs.get(_DEFAULT)
    return settings


def settings_of(trial: FrozenTrial) -> Parameters:
    """Return the option set (flat) that a trial evaluates."""
    default = default_of(trial)
    return dict(trial.params) if default is None else default


def sign(trial: Trial) -> None:
    """Write down that this process works on a trial."""
    trial.set_user_attr(_WORKER, _ME)


def repeat_killed(study: optuna.Study) -> None:
    """Put the trials in line again whose process is gone; those of other machines are left to them."""
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if not _is_alive(trial.user_attrs.get(_WORKER)):
            repeat(study, trial.number)


def repeat(study: optuna.Study, number: int) -> None:
    """Give a trial up and put the same option set in line again."""
    trial = study.trials[number]
    study.tell(number, state=TrialState.FAIL)
    default = default_of(trial)
    study.enqueue_trial(trial.params, user_attrs={} if default is None else {_DEFAULT: default})


def borders(space: Space, settings: Parameters) -> list[str]:
    """Say which values of an option set lie at a border of their dimension, or outside.

    Example:
        >>> borders({"regularization": (10.0, 1000.0)}, {"regularization": 10.0})
        ['regularization = 10 (low end 10)']
    """
    at_border = []
    for name, dimension in space.items():
        value: Any = settings.get(name)
        values = dimension.choices if isinstance(dimension, Choices) else list(dimension)
        if not all(_is_number(one) for one in [value, *values]) or len(set(values)) < 2:
            continue
        low, high = min(values), max(values)
        margin = 0.0 if isinstance(dimension, Choices) else _BORDER * math.log(high / low)
        if value <= low * math.exp(margin):
            at_border.append(f"{name} = {value:g} (low end {low:g})")
        elif value >= high * math.exp(-margin):
            at_border.append(f"{name} = {value:g} (high end {high:g})")
    return at_border


def _holds(dimension: Choices | tuple[float, float], value: object) -> bool:
    if isinstance(dimension, Choices):
        return value in dimension.choices
    return _is_number(value) and dimension[0] <= value <= dimension[1]  # type: ignore[operator]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_alive(worker: list[object] | None) -> bool:
    if worker is None:
        return False
    host, number, _ = worker
    if host != _ME[0] or worker == _ME or os.name != "posix":
        return True
    if number == _ME[1]:
        return False
    with contextlib.suppress(PermissionError):
        try:
            os.kill(int(str(number)), 0)
        except ProcessLookupError:
            return False
    return True
