"""What every option of Tailor is made of: frozen pydantic models that refuse keys they do not have."""

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
    """Keys of an earlier version, and what they are called now, beside this model's other keys."""
    retired: ClassVar[dict[str, str]] = {}
    """Keys of an earlier version that have no successor: a sentence that goes on after "Parameter '<key>'"."""


OptionsT = TypeVar("OptionsT", bound=Options)


def parse(model: type[OptionsT], values: Any, where: str) -> OptionsT:
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
    name = ".".join([where, *path] if where else path)
    if error["type"] != "extra_forbidden":
        return f"Parameter '{name}' = {error.get('input')!r}: {error['msg']}. Fix it in conf/ or in --params."
    parent: Any = model
    for part in path[:-1]:
        parent = parent.model_fields[part].annotation
    if path[-1] in parent.renamed:
        return f"Parameter '{name}' is called '{'.'.join([*name.split('.')[:-1], parent.renamed[path[-1]]])}' now."
    if path[-1] in parent.retired:
        return f"Parameter '{name}' {parent.retired[path[-1]]}"
    known = sorted(parent.model_fields)
    return f"Parameter '{name}' does not exist.{did_you_mean(path[-1], known)} Known here: {', '.join(known)}."
