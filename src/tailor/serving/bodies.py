"""Bodies of requests: JSON of a bounded shape, read cell by cell, refused in a few short sentences."""

import json
import math
from collections.abc import Iterator, Sequence

from pydantic import ValidationError
from pydantic_core import from_json

from tailor import columns as c
from tailor.errors import BadInputError, did_you_mean
from tailor.serving.answers import RecommendBody
from tailor.serving.validation import MAX_ID, MAX_PROBLEMS, excerpt, label_of, refuse_unreadable, sentences
from tailor.types import JsonObject

#: Values of a body in all, keys of one mapping, and how deep values may stand within others.
MAX_VALUES, MAX_KEYS, MAX_DEPTH = 100_000, 1000, 16
#: Items in one call, and characters of a name.
MAX_ITEMS, MAX_NAME = 1000, 200


class BadBodyError(BadInputError):
    """A body that cannot be used, with the first of what is wrong in it."""

    def __init__(self, problems: Sequence[str]) -> None:
        """Take one sentence or more, the most telling first."""
        super().__init__(problems[0])
        self.problems = list(problems)


def read_json(body: bytes) -> JsonObject:
    """Read the body of a request: a JSON object that is neither too deep nor too wide.

    Raises:
        BadInputError: in one sentence, with the place.

    Example:
        >>> read_json(b'{"k": 5}')
        {'k': 5}
    """
    value = _read_bounded(body)
    if not isinstance(value, dict):
        raise BadInputError('The body is no JSON object: write it as {"name": value}')
    return value


def read_list(body: bytes, most: int) -> list[object]:
    """Read the body of a request: a JSON list of 1 to ``most`` values, or a JSON object, which is a list of one.

    Raises:
        BadInputError: in one sentence, with the place.

    Example:
        >>> read_list(b'{"k": 5}', 3)
        [{'k': 5}]
    """
    value = _read_bounded(body)
    if not isinstance(value, list):
        return [value]
    if not 1 <= len(value) <= most:
        raise BadInputError(f"The list of the body has {len(value)} entries; send 1 to {most}")
    return value


def _read_bounded(body: bytes) -> object:
    """Read JSON that is neither too deep nor too wide, and names nothing twice."""
    try:
        value: object = from_json(body, allow_inf_nan=False)  # strict: no NaN, no half of a UTF-16 pair, bounded depth
    except ValueError as problem:
        raise BadInputError(f"The body is not JSON: {str(problem)[:100]}") from None
    if isinstance(value, dict | list):
        _check_shape(value)
        json.loads(body, object_pairs_hook=_unrepeated)
    return value


def _unrepeated(pairs: list[tuple[str, object]]) -> JsonObject:
    """Make a mapping of the pairs of an object.

    Raises:
        BadInputError: a name stands there twice.
    """
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for place, name in enumerate(names) if name in names[:place])
        raise BadInputError(f"{excerpt(twice)!r} stands twice in one object of the body; send it once")
    return values


def _check_shape(body: JsonObject | list[object]) -> None:
    """Refuse what is too deep, too much, or no number."""
    waiting: list[tuple[JsonObject | list[object], tuple[str | int, ...]]] = [(body, ())]
    n_values = 0
    while waiting:
        value, path = waiting.pop()
        if len(path) > MAX_DEPTH:
            raise BadInputError(f"{label_of(path[:3])}…: values stand more than {MAX_DEPTH} deep within others")
        if isinstance(value, dict) and len(value) > MAX_KEYS:
            raise BadInputError(f"An object of the body has {len(value)} names; send at most {MAX_KEYS}")
        n_values += len(value)
        if n_values > MAX_VALUES:
            raise BadInputError(f"The body has more than {MAX_VALUES} values; send it in parts")
        for name, entry in value.items() if isinstance(value, dict) else enumerate(value):
            _check_entry(name, entry, path)
            if entry and isinstance(entry, dict | list):
                waiting.append((entry, (*path, name)))


def _check_entry(name: str | int, entry: object, path: tuple[str | int, ...]) -> None:
    if isinstance(name, str) and len(name) > MAX_NAME:
        raise BadInputError(f"The name {excerpt(name)!r} has {len(name)} characters; names have at most {MAX_NAME}")
    plain = isinstance(entry, int | float) and not (isinstance(entry, float) and math.isinf(entry))
    if plain and abs(entry) < 2**53:  # type: ignore[arg-type]
        return
    if isinstance(entry, int | float):
        try:
            refuse_unreadable(entry, (*path, name))
        except ValueError as problem:
            raise BadInputError(str(problem)) from None


def read_question(body: bytes) -> RecommendBody:
    """Read the body of a request for a list.

    Raises:
        BadBodyError: with the first ten of what is wrong.
    """
    values = read_json(body)
    try:
        asked: RecommendBody = RecommendBody.model_validate(values)
    except ValidationError as problem:
        raise BadBodyError(sentences(problem.errors(include_url=False), RecommendBody)) from None
    return asked


def read_rows(body: bytes) -> list[JsonObject]:
    """Read the body that brings items: ``{"items": [{...}, ...]}``.

    Raises:
        BadBodyError: with the first ten of what is wrong.
    """
    values = read_json(body)
    for name in values:
        if name != "items":
            raise BadInputError(f"Unknown field '{excerpt(name)}'.{did_you_mean(name, ['items'])} Known: items.")
    rows = values.get("items")
    if not isinstance(rows, list) or not 1 <= len(rows) <= MAX_ITEMS:
        given = f"has {len(rows)}" if isinstance(rows, list) else "is no list"
        raise BadInputError(f"items {given}; send a list of 1 to {MAX_ITEMS} items")
    problems = []
    for problem in _problems_of(rows):
        problems.append(problem)
        if len(problems) == MAX_PROBLEMS:
            break
    if problems:
        raise BadBodyError(problems)
    return rows


def _problems_of(rows: list[object]) -> Iterator[str]:
    """Yield what is wrong with items, in their order."""
    for place, row in enumerate(rows):
        if not isinstance(row, dict):
            yield f'items[{place}] = {excerpt(row)!r} is no item; write it as {{"item_id": ..., "title": ...}}'
            continue
        for name, cell in row.items():
            if name.startswith(c.VECTOR_PREFIX) and isinstance(cell, list):
                if any(isinstance(number, bool) or not isinstance(number, int | float) for number in cell):
                    yield f"items[{place}].{excerpt(name)} = {excerpt(cell)!r} is no list of numbers"
            elif isinstance(cell, bool) or not isinstance(cell, str | int | float | None):
                yield f"items[{place}].{excerpt(name)} = {excerpt(cell)!r} is neither a text nor a number"
            elif name == "item_id" and len(str(cell)) > MAX_ID:
                yield f"items[{place}].item_id has {len(str(cell))} characters; an id has at most {MAX_ID}"
