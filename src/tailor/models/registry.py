"""Models by name: the name that conf/ uses, that lists and metrics show, and that saved files hold."""

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from tailor.config import parse
from tailor.errors import ConfigurationError, did_you_mean
from tailor.models import legacy
from tailor.types import Parameters

if TYPE_CHECKING:
    from tailor.models.base import Model

ModelClass = TypeVar("ModelClass", bound="type[Model[Any]]")
_MODELS: "dict[str, type[Model[Any]]]" = {}

#: The baselines of a run unless ``hybrid_cf.baselines`` names others, from the simplest on.
BASELINES = (
    "random",
    "constant",
    "popular",
    "text_knn",
    "item_knn",
    "implicit_als",
    "ease",
    "transition_knn",
    "slit",
    "sasrec",
    "text_ease",
    "marec",
    "ials",
    "text_ials",
    "dropoutnet",
)


def register_model(name: str) -> Callable[[ModelClass], ModelClass]:
    """Register a model under a name (class decorator).

    Raises:
        ConfigurationError: another class has that name already.

    Example:
        >>> @register_model("newest")
        ... class Newest(Model[NewestConfig]): ...
    """

    def register(model: ModelClass) -> ModelClass:
        known = _MODELS.get(name)
        if known is not None and known.__qualname__ != model.__qualname__:
            raise ConfigurationError(f"Two models are called '{name}': {known.__qualname__} and {model.__qualname__}.")
        model.name = name
        _MODELS[name] = model
        return model

    return register


def model_class(name: str) -> "type[Model[Any]]":
    """Look a model up.

    Raises:
        ConfigurationError: there is none of that name.
    """
    _import_built_in()
    if name not in _MODELS:
        new = legacy.BASELINES.get(name)
        hint = f" It is called '{new}' now." if new else did_you_mean(name, _MODELS)
        raise ConfigurationError(
            f"No model '{name}'.{hint} Known: {', '.join(sorted(_MODELS))}. A model of your own "
            "is known once its module is listed under 'plugins'."
        )
    return _MODELS[name]


def build(name: str, config: Parameters, seed: int, where: str = "hybrid_cf.trials") -> "Model[Any]":
    """Return a recipe with a validated configuration.

    Args:
        name: of the model.
        config: its options.
        seed: of its generators.
        where: the parameter that ``config`` comes from, for the error.
    """
    model = model_class(name)
    return model(parse(model.config_class, config, f"{where}.{name}"), seed)


def _import_built_in() -> None:
    for module in ("random", "popular", "text_knn", "item_knn", "implicit_als", "ease", "ials", "slit"):
        importlib.import_module(f"tailor.models.{module}")
    for module in ("marec", "dropoutnet", "transition_knn", "transformer", "demographic", "contextual", "user_text"):
        importlib.import_module(f"tailor.models.{module}")
