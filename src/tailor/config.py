"""What every option of Tailor is made of: frozen pydantic models that refuse keys they do not have."""

import typing
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tailor.errors import ConfigurationError, did_you_mean

Fraction = Annotated[float, Field(ge=0.0, lt=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
Count = Annotated[int, Field(ge=1)]


class Options(BaseModel):
    """Base of all options: immutable, and a key that does not exist is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    renamed: ClassVar[dict[str, str]] = {}
    """Keys of an earlier version, each with what it is called now (dotted where it moved further in)."""
    retired: ClassVar[dict[str, str]] = {}
    """Keys of an earlier version, each with a sentence that goes on after "Parameter '<key>'"."""


#: Characters of a value that a message shows.
_MOST_SHOWN = 200
OptionsT = TypeVar("OptionsT", bound=Options)


def parse(model: type[OptionsT], values: object, where: str) -> OptionsT:
    """Validate ``values`` into ``model``, or say which key under ``where`` is wrong and what would be right.

    Raises:
        ConfigurationError: a key is unknown or a value does not fit; all problems are listed.
    """
    try:
        return model.model_validate(values)
    except ValidationError as exc:
        raise ConfigurationError("\n".join(_describe(model, e, where) for e in exc.errors())) from None


def _describe(model: type[Options], error: Any, where: str) -> str:
    path = [str(part) for part in error["loc"]]
    prefix, name = ".".join([where, *path[:-1]] if where else path[:-1]), ".".join([where, *path] if where else path)
    cause = error.get("ctx", {}).get("error")
    if isinstance(cause, ConfigurationError):  # of options inside these ones: it names its parameter itself
        return str(cause)
    parent = _options_at(model, path[:-1])
    if error["type"] != "extra_forbidden" or parent is None:
        return (
            f"Parameter '{name}' = {_abbreviated(error.get('input'))}: {error['msg']}. Fix it in conf/ or in --params."
        )
    key, known = path[-1], sorted(parent.model_fields)
    if key in parent.renamed:
        new = ".".join([prefix, parent.renamed[key]] if prefix else [parent.renamed[key]])
        return f"Parameter '{name}' is called '{new}' now."
    if key in parent.retired:
        return f"Parameter '{name}' {parent.retired[key]}"
    return f"Parameter '{name}' does not exist.{did_you_mean(key, known)} Known here: {', '.join(known)}."


def _abbreviated(value: object) -> str:
    """Write a value, a long one up to its first characters."""
    written = repr(value)
    return written if len(written) <= _MOST_SHOWN else f"{written[:_MOST_SHOWN]}…"


def _options_at(model: Any, path: list[str]) -> type[Options] | None:
    """Follow field names, keys of dictionaries and places of lists; None where they do not lead to options."""
    for part in path:
        fields = model.model_fields if _is_options(model) else {}
        model = _options_in(fields[part].annotation if part in fields else model)
    return model if _is_options(model) else None


def _options_in(annotation: Any) -> Any:
    """Return the options that a dictionary, list or union holds; what holds none as it is."""
    inner = [_options_in(argument) for argument in typing.get_args(annotation)]
    return next(filter(_is_options, inner), annotation)


def _is_options(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Options)
