"""What is made of the fields of :mod:`tailor.serving.schema`: the HTTP body, the page's form, the docs' tables."""

import json
from collections.abc import Iterator
from typing import Annotated, Any, TypeVar

from annotated_types import Le, MaxLen
from pydantic import BaseModel, ConfigDict, Field, create_model, model_validator
from pydantic.fields import FieldInfo

from tailor.serving.schema import Answer, Http, OnPage, Request, Settings, read_given
from tailor.serving.validation import bounds, property_of
from tailor.types import JsonObject

T = TypeVar("T")
Model = type[BaseModel]
ASKED: tuple[Model, ...] = (Request, Settings)
_UNITS = {"maxLength": "characters", "maxItems": "entries"}


class Body(BaseModel):
    """Base of HTTP bodies: a misspelt key is an error, not a default."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _given(cls, values: object) -> Any:
        return read_given(cls, values)


def _of_type(field: FieldInfo, kind: type[T]) -> T | None:
    """Return what a field says to one of its faces; the last word counts."""
    return next((entry for entry in reversed(field.metadata) if isinstance(entry, kind)), None)


def flat_model(name: str, *models: Model) -> Any:
    """Return one model with the fields of all, under the bounds that hold over HTTP."""
    fields: JsonObject = {}
    for model in models:
        for key, field in model.model_fields.items():
            about: JsonObject = {"title": field.title, "description": field.description, "examples": field.examples}
            fields[key] = (_over_http(field), Field(field.get_default(), **about))
    return create_model(name, __base__=Body, **fields)


def _over_http(field: FieldInfo) -> Any:
    """Return a field's annotation under its tighter bounds."""
    http, rest = _of_type(field, Http) or Http(), list(field.metadata)
    annotation: Any = field.annotation
    if http.max_length is not None:
        annotation = Annotated[annotation, MaxLen(http.max_length)]
        rest = [entry for entry in rest if not isinstance(entry, MaxLen)]
    if http.le is not None:
        annotation = Annotated[annotation, Le(http.le)]
        rest = [entry for entry in rest if not isinstance(entry, Le)]
    for entry in rest:
        annotation = Annotated[annotation, entry]
    return annotation


def form(*models: Model) -> list[JsonObject]:
    """Return the inputs of the page's form: name, label, help, widget, bounds, options, example, start, more."""
    return [_input(model, (name,), field) for model in models or ASKED for name, field in model.model_fields.items()]


def _input(model: Model, path: tuple[str, ...], field: FieldInfo) -> JsonObject:
    schema, page = property_of(model, path), _of_type(field, OnPage) or OnPage()
    about: JsonObject = {
        "name": path[-1],
        "label": field.title or path[-1].replace("_", " ").capitalize(),
        "help": field.description,
        "widget": page.widget or _widget(schema),
        "min": schema.get("minimum"),
        "max": schema.get("maximum"),
        "max_length": schema.get("maxLength"),
        "options": schema.get("enum"),
        "example": (field.examples or [None])[0],
        "start": page.start,
        "default": field.default if isinstance(field.default, bool) else None,
        "more": page.more,
        "for_all": page.for_all,
    }
    if about["widget"] == "group":
        (inner,) = (part for part in _models_in(field.annotation))
        about["inputs"] = [_input(model, (*path, name), part) for name, part in inner.model_fields.items()]
    return {key: value for key, value in about.items() if value is not None}


def _models_in(annotation: Any) -> Iterator[Model]:
    """Yield the models that an annotation names."""
    for part in getattr(annotation, "__args__", (annotation,)):
        if isinstance(part, type) and issubclass(part, BaseModel):
            yield part


def _widget(schema: JsonObject) -> str:
    if "enum" in schema:
        return "select"
    if "properties" in schema:
        return "group"
    if (schema.get("minimum"), schema.get("maximum")) == (0, 1):
        return "range"
    plain = {"boolean": "checkbox", "integer": "number", "number": "number", "string": "text", "array": "list"}
    return plain.get(schema.get("type", ""), "json")


def tables(request: Model = Request, settings: Model = Settings, answer: Model = Answer) -> str:
    """Return the fields as Markdown tables: columns of requests, params, columns of answers."""
    parts = [
        "| column (any of them) | type | bounds | what it says | example |\n|---|---|---|---|---|",
        *(_row(request, name, default=False) for name in request.model_fields),
        "\n| param | type | bounds | default | what it does | example |\n|---|---|---|---|---|---|",
        *(_row(settings, name, default=True) for name in settings.model_fields),
        "\n| column of an answer | type | bounds | what it says | example |\n|---|---|---|---|---|",
        *(_row(answer, name, default=False) for name in answer.model_fields),
    ]
    return "\n".join(parts)


def _row(model: Model, name: str, *, default: bool) -> str:
    field, schema = model.model_fields[name], property_of(model, (name,))
    of_entries = property_of(model, (name, 0)) if "items" in schema else {}
    cells = [f"`{name}`", _type_name(schema, of_entries), _limits(field, schema)]
    if default:
        cells.append("none" if field.default is None else f"`{json.dumps(field.default)}`")
    cells += [str(field.description), f"`{json.dumps((field.examples or [None])[0])}`"]
    return f"| {' | '.join(cells)} |"


def _type_name(schema: JsonObject, of_entries: JsonObject | None = None) -> str:
    if "items" in schema:
        name = _type_name(of_entries or {})
        return f"list of {name}" if name.startswith("{") else f"list of {name}s"
    if "properties" in schema:
        return "{" + ", ".join(schema["properties"]) + "}"
    name = str(schema.get("type", "any"))
    return "mapping" if name == "object" else name


def _limits(field: FieldInfo, schema: JsonObject) -> str:
    """Write the bounds of a field, and in brackets those over HTTP."""
    http, inner = _of_type(field, Http) or Http(), schema.get("properties", {})
    parts = [f"{schema[word]:,} {unit}" for word, unit in _UNITS.items() if word in schema]
    parts += [bounds(schema), bounds(schema.get("items", {}))]
    limits = {name: bounds(part) or ", ".join(part.get("enum", [])) for name, part in inner.items()}
    parts += [", ".join(schema.get("enum", [])), *(f"{name}: {text}" for name, text in limits.items() if text)]
    over_http = http.max_length or http.le
    text = "; ".join(part for part in parts if part)
    return f"{text} (HTTP: {over_http:,})".strip() if over_http else text
