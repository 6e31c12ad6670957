"""What every model of a request rests on: values of any kind are read, and one sentence says what is refused."""

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from tailor.config import Options
from tailor.data.cells import read_id as as_text
from tailor.errors import BadInputError, did_you_mean
from tailor.types import JsonObject

MAX_VALUE = 200
_SHOWN = 60
_OUT_OF_BOUNDS = "{label} = {value} is out of bounds: {bounds}"
_SENTENCES = dict.fromkeys(("greater_than", "greater_than_equal", "less_than", "less_than_equal"), _OUT_OF_BOUNDS) | {
    "finite_number": "{label} = {value} is not a finite number; leave it out or give another",
    "json_invalid": "The body is not JSON: {error}",
    "missing": "{label} is missing",
    "string_too_long": "{label}: {length} characters; send at most {max_length}",
    "too_long": "{label}: {actual_length} items in one request; send at most {max_length}",
}


class Validated(Options):
    """Base of what is asked and answered: frozen, fields may be given in order or by name.

    Raises:
        BadInputError: in one sentence that names the field, its value and what would be right.

    Example:
        >>> class Pair(Validated):
        ...     left: int
        ...     right: int = 0
        >>> Pair(1, right=2)
        Pair(left=1, right=2)
    """

    def __init__(self, *values: Any, **fields: Any) -> None:
        names = list(type(self).model_fields)
        if len(values) > len(names):
            raise BadInputError(f"{type(self).__name__} has {len(names)} fields, {len(values)} were given")
        try:
            super().__init__(**(dict(zip(names, values, strict=False)) | fields))
        except ValidationError as problem:
            raise BadInputError(sentence(problem.errors(), type(self))) from None


def sentence(errors: Sequence[ErrorDetails], model: type[BaseModel]) -> str:
    """Say in one sentence the first thing that pydantic refused, a misspelt name before anything else.

    Args:
        errors: of a ``ValidationError``; ``loc`` counts from ``model``.
        model: whose fields they are.
    """
    error = min(errors, key=lambda each: each["type"] != "extra_forbidden")
    path, value, context = error["loc"], error.get("input"), error.get("ctx", {})
    label, schema = _label(path), property_of(model, path)
    if error["type"] == "extra_forbidden":
        known = list(property_of(model, path[:-1]).get("properties", {}))
        return f"Unknown field '{label}'.{did_you_mean(str(path[-1]), known)} Known: {', '.join(known)}."
    if error["type"] == "value_error":
        return f"{label}: {context['error']}" if path else str(context["error"])
    known_bounds = bounds(schema) or str(error["msg"])
    words = {"label": label, "value": value, "length": len(str(value)), "bounds": known_bounds} | context
    template = _SENTENCES.get(error["type"])
    if template:
        return template.format(**words)
    return f"{label or 'The request'} = {str(value)[:_SHOWN]!r}: {error['msg']}"


def _label(path: tuple[str | int, ...]) -> str:
    """Write a place as ``rerank.method`` or ``weights[2]``."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


def property_of(model: type[BaseModel], path: Iterable[str | int]) -> JsonObject:
    """Return the JSON schema of the field at ``path``, without references and without "or null"."""
    whole = _json_schema(model)
    schema: JsonObject = whole
    for part in path:
        inner = schema.get("items", {}) if isinstance(part, int) else schema.get("properties", {}).get(part, {})
        schema = _plain(inner, whole)
    return schema


@cache
def _json_schema(model: type[BaseModel]) -> JsonObject:
    return model.model_json_schema()


def _plain(schema: JsonObject, whole: JsonObject) -> JsonObject:
    """Follow a reference, and leave "or null" out of an optional field."""
    options = [option for option in schema.get("anyOf", []) if option.get("type") != "null"]
    if len(options) == 1:
        schema = {name: value for name, value in schema.items() if name != "anyOf"} | options[0]
    if "$ref" in schema:
        target = whole["$defs"][schema["$ref"].rsplit("/", 1)[-1]]
        schema = target | {name: value for name, value in schema.items() if name != "$ref"}
    return schema


def bounds(schema: JsonObject) -> str:
    """Write the bounds of a number: "0 to 1", "above 0, up to 100", "above 0"; empty where there are none."""
    low, high, above = (schema.get(name) for name in ("minimum", "maximum", "exclusiveMinimum"))
    if low is not None and high is not None:
        return f"{low:g} to {high:g}" if high < 1e5 else f"{low} to {high}"
    parts = [f"above {above:g}" if above is not None else "", f"at least {low:g}" if low is not None else ""]
    parts.append(f"up to {high:g}" if high is not None else "")
    return ", ".join(part for part in parts if part)


def is_missing(value: object) -> bool:
    """Whether a cell of a table says 'not given': None, NaN, NA or NaT."""
    return (
        value is None
        or type(value).__name__ in ("NAType", "NaTType")
        or (isinstance(value, float) and math.isnan(value))
    )


def read_id(value: object) -> str | None:
    """Read an id of any type as a string, as training does (:func:`tailor.data.cells.read_id`); a blank one is none.

    Raises:
        ValueError: it is neither a string nor a number, or a float that has lost digits.
    """
    if is_missing(value):
        return None
    if not isinstance(value, str | int | float | np.integer | np.floating) or isinstance(value, bool):
        raise ValueError(f"{str(value)[:_SHOWN]!r} is not an id (a string or a number)")
    return as_text(value, f"{str(value)[:_SHOWN]!r} as an id")


def _entries(value: object, what: str) -> list[object]:
    """Return the entries of a list that are given; none of a cell that says 'not given'."""
    if is_missing(value):
        return []
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise ValueError(f"{str(value)[:_SHOWN]!r} is not a list of {what}; write it as [...]")
    return [entry for entry in value if not is_missing(entry)]


def read_ids(value: object) -> tuple[str, ...]:
    """Read a list of ids; missing ones are left out.

    Raises:
        ValueError: it is no list, or an entry is no id.
    """
    return tuple(name for name in map(read_id, _entries(value, "item ids")) if name is not None)


def read_texts(value: object) -> tuple[str, ...]:
    """Read a list of texts; missing and blank ones say nothing and are left out.

    Raises:
        ValueError: it is no list, or an entry is no text.
    """
    texts = []
    for entry in _entries(value, "texts"):
        if not isinstance(entry, str):
            raise ValueError(f"{str(entry)[:_SHOWN]!r} is not a text")
        texts.append(entry.strip())
    return tuple(text for text in texts if text)


def read_numbers(value: object) -> list[object]:
    """Read a list or an array of numbers.

    Raises:
        ValueError: it is no list.
    """
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise ValueError(f"{str(value)[:_SHOWN]!r} is not a list of numbers")
    return np.asarray(value).tolist() if isinstance(value, np.ndarray) else list(value)


def read_side_features(value: object) -> JsonObject:
    """Read a profile or a context: names, and a number or a short text each.

    Raises:
        ValueError: it is no mapping, or a value is something else or too long.
    """
    if not isinstance(value, Mapping):
        raise ValueError(f"{str(value)[:_SHOWN]!r} is not a mapping from names to values")
    plain = {name: item.item() if isinstance(item, np.generic) else item for name, item in value.items()}
    for name, item in plain.items():
        if not isinstance(item, str | int | float) or len(str(item)) > MAX_VALUE:
            raise ValueError(f"{name} is neither a number nor a text of at most {MAX_VALUE} characters")
    return plain
