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

#: Characters of an id.
MAX_ID = 1000
MAX_VALUE = 200
#: Characters of a value or a name that a sentence repeats, characters of a sentence, and problems that are told.
_SHOWN, _MAX_SENTENCE, MAX_PROBLEMS = 50, 2000, 10
_INT64 = 2**63
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


def excerpt(value: object) -> str:
    """Write a value of any kind and size as a sentence repeats it, cut where it is long.

    >>> excerpt(0.5), excerpt("x" * 60), excerpt(10**5000)
    ('0.5', 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…', 'a whole number of more than 64 bits')
    """
    if isinstance(value, int) and abs(value) >= _INT64:
        return "a whole number of more than 64 bits"
    if isinstance(value, str):
        text = value[: _SHOWN + 1].encode("utf-8", "replace").decode()
    else:
        text = f"a list of {len(value)}" if isinstance(value, list) and len(value) > _SHOWN else str(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def sentence(errors: Sequence[ErrorDetails], model: type[BaseModel]) -> str:
    """Say in one sentence the first thing that pydantic refused, a misspelt name before anything else."""
    return sentences(errors, model)[0]


def sentences(errors: Sequence[ErrorDetails], model: type[BaseModel]) -> list[str]:
    """Say in a sentence each what pydantic refused, the first ten, misspelt names before anything else.

    Args:
        errors: of a ``ValidationError``; ``loc`` counts from ``model``.
        model: whose fields they are.
    """
    first = sorted(errors, key=lambda each: each["type"] != "extra_forbidden")[:MAX_PROBLEMS]
    return [_sentence(error, model)[:_MAX_SENTENCE] for error in first]


def _sentence(error: ErrorDetails, model: type[BaseModel]) -> str:
    path, value, context = error["loc"], excerpt(error.get("input")), error.get("ctx", {})
    label, schema = label_of(path), property_of(model, path)
    if error["type"] == "extra_forbidden":
        known = list(property_of(model, path[:-1]).get("properties", {}))
        return f"Unknown field '{label}'.{did_you_mean(str(path[-1]), known)} Known: {', '.join(known)}."
    if error["type"] == "value_error":
        return f"{label}: {context['error']}" if path else str(context["error"])
    known_bounds = bounds(schema) or str(error["msg"])
    given = error.get("input")
    length = len(given) if isinstance(given, str) else 0
    words = {"label": label, "value": value, "length": length, "bounds": known_bounds} | context
    template = _SENTENCES.get(error["type"])
    if template:
        return template.format(**words)
    return f"{label or 'The request'} = {value!r}: {error['msg']}"


def label_of(path: Iterable[str | int]) -> str:
    """Write a place as ``rerank.method`` or ``weights[2]``."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{excerpt(part)}" for part in path).removeprefix(".")


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


def read_printable_id(value: object, most: int) -> object:
    """Read an id that a database can hold.

    Args:
        value: as it was sent.
        most: characters.

    Raises:
        ValueError: it is longer, or has characters that are not printable.
    """
    name = read_id(value)
    if name is not None and (len(name) > most or not name.isprintable()):
        raise ValueError(f"{excerpt(name)!r} is no id of at most {most} printable characters")
    return name


def read_id(value: object) -> str | None:
    """Read an id of any type as a string, as training does (:func:`tailor.data.cells.read_id`); a blank one is none.

    Raises:
        ValueError: it is neither a string nor a number, or a float that has lost digits.
    """
    if is_missing(value):
        return None
    if not isinstance(value, str | int | float | np.integer | np.floating) or isinstance(value, bool):
        raise ValueError(f"{excerpt(value)!r} is not an id (a string or a number)")
    return as_text(value, f"{excerpt(value)!r} as an id")


def refuse_unreadable(value: object, path: tuple[str | int, ...]) -> None:
    """Refuse what no text or number can be made of, wherever it stands in a value.

    Raises:
        ValueError: a half of a UTF-16 pair in a text, an infinite number, or a whole number of more than 64 bits.
    """
    if isinstance(value, str | int | float):
        _refuse_unreadable_cell(value, path)
    elif isinstance(value, Mapping):
        for name, entry in value.items():
            refuse_unreadable(str(name), path)
            refuse_unreadable(entry, (*path, str(name)))
    elif isinstance(value, list | tuple):
        for place, entry in enumerate(value):
            refuse_unreadable(entry, (*path, place))


def _refuse_unreadable_cell(value: str | float, path: tuple[str | int, ...]) -> None:
    if isinstance(value, str):
        if not value.isascii() and any("\ud800" <= letter <= "\udfff" for letter in value):
            raise ValueError(f"{label_of(path)}: {excerpt(value)!r} is no text: it has half of a UTF-16 pair")
    elif isinstance(value, int):
        if abs(value) >= _INT64:
            raise ValueError(f"{label_of(path)}: {excerpt(value)}; send an id as a text, and other numbers smaller")
    elif math.isinf(value):
        raise ValueError(f"{label_of(path)} = {value} is not a finite number; leave it out or give another")


def read_words(value: object) -> object:
    """Read a line of words: a number is the text that it is written as, since a column of tables may be typed so.

    Raises:
        ValueError: a float has lost digits.
    """
    number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    return (as_text(value, "query") or "") if number else value


def _entries(value: object, what: str) -> list[object]:
    """Return the entries of a list that are given; none of a cell that says 'not given'."""
    if is_missing(value):
        return []
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise ValueError(f"{excerpt(value)!r} is not a list of {what}; write it as [...]")
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
            raise ValueError(f"{excerpt(entry)!r} is not a text")
        texts.append(entry.strip())
    return tuple(text for text in texts if text)


def read_numbers(value: object) -> list[object]:
    """Read a list or an array of numbers.

    Raises:
        ValueError: it is no list.
    """
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise ValueError(f"{excerpt(value)!r} is not a list of numbers")
    return np.asarray(value).tolist() if isinstance(value, np.ndarray) else list(value)


def read_side_features(value: object) -> JsonObject:
    """Read a profile or a context: names, and a number or a short text each; what is missing is left out.

    Raises:
        ValueError: it is no mapping, or a value is something else or too long.
    """
    if not isinstance(value, Mapping):
        raise ValueError(f"{excerpt(value)!r} is not a mapping from names to values")
    plain = {name: item.item() if isinstance(item, np.generic) else item for name, item in value.items()}
    plain = {name: item for name, item in plain.items() if not is_missing(item)}
    for name, item in plain.items():
        if not isinstance(item, str | int | float) or (isinstance(item, str) and len(item) > MAX_VALUE):
            raise ValueError(f"{excerpt(name)} is neither a number nor a text of at most {MAX_VALUE} characters")
    return plain


def read_filters(value: object) -> object:
    """Read filters as they are, numbers of numpy as plain ones.

    Raises:
        ValueError: a bound is not a finite number.
    """
    if isinstance(value, Mapping):
        return {name: read_filters(entry) for name, entry in value.items()}
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value} is not a finite number; leave it out or give another")
    return value
