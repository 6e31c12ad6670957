"""Engines by name: the name conf/ uses for a model, or the name of its class in a saved file."""

from typing import Any

from tailor.config import parse
from tailor.errors import ConfigurationError, did_you_mean
from tailor.models.base import Engine
from tailor.models.baselines import Constant, ImplicitALS, ItemKNN, Popular, Random, TextKNN
from tailor.models.ease import EASE, PlainEASE
from tailor.models.ials import IALS, PlainIALS
from tailor.models.slit import Sequence

#: The ladder, lowest rung first, by the name each model has in parameters, lists and metrics.
BASELINES: dict[str, type[Engine[Any]]] = {
    "random": Random,
    "constant": Constant,
    "popular": Popular,
    "text_knn": TextKNN,
    "item_knn": ItemKNN,
    "implicit_als": ImplicitALS,
    "ease": PlainEASE,
    "sequence": Sequence,
    "text_ease": EASE,
    "irspack": PlainIALS,
    "irspack_features": IALS,
}
_CLASSES: dict[str, type[Engine[Any]]] = {cls.__name__: cls for cls in BASELINES.values()}


def register(cls: type[Engine[Any]]) -> type[Engine[Any]]:
    """Make an engine class loadable from a saved file, by its class name (class decorator)."""
    _CLASSES[cls.__name__] = cls
    return cls


def engine_class(name: str) -> type[Engine[Any]]:
    """Look an engine up by ladder name or class name.

    Raises:
        ConfigurationError: there is none of that name.
    """
    known = BASELINES | _CLASSES
    if name not in known:
        raise ConfigurationError(f"No engine '{name}'.{did_you_mean(name, known)} Known: {', '.join(BASELINES)}.")
    return known[name]


def build(name: str, options: dict[str, Any], seed: int) -> Engine[Any]:
    """Return an unfitted engine with validated options."""
    cls = engine_class(name)
    return cls(parse(cls.options_class, options, f"hybrid_cf.trials.{name}"), seed)
