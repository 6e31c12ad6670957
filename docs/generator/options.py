"""The page of options: every field of the pydantic models, with its value and its comment in conf/base."""

import json
import re
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

from docs.generator.markdown import attribute_docs, code, first_sentence, plain, table
from tailor.config import Options
from tailor.options import ProjectOptions
from tailor.serving.validation import bounds, property_of

CONF = Path(__file__).resolve().parents[2] / "conf/base/parameters"
KEY = re.compile(r"^(\s*)(?:- )?([A-Za-z_]\w*):(.*)$")
HEAD = ("option", "type", "default", "what it does", "comment of conf/base")
INTRODUCTION = """# Options

Every parameter, from the pydantic models that read `conf/`. A key that is not here stops the run by its name.
*Default* is that of the code; `conf/base` sets the same unless the comment says otherwise. What `conf/base/parameters`
says beside a key stands in the last column. Options of single models are in [models](models.md).
"""


def comments(text: str) -> dict[str, str]:
    """Return what a parameters file says of each key, by dotted path: the lines above it, and the end of its line.

    >>> comments("a:\\n  # Above.\\n  b: 1  # beside\\n")
    {'a.b': 'Above. beside'}
    """
    said: dict[str, str] = {}
    above: list[str] = []
    path: list[tuple[int, str]] = []
    for line in text.splitlines():
        if line.strip().startswith("#"):
            above.append(line.strip().lstrip("# "))
            continue
        if key := KEY.match(line):
            indent = len(key[1])
            path = [*((depth, name) for depth, name in path if depth < indent), (indent, key[2])]
            beside = re.search(r"(?:^|\s)#\s*(.*)$", key[3])
            words = " ".join([*above, *([beside[1]] if beside else [])])
            if words:
                said[".".join(name for _, name in path)] = words
        above = []
    return said


def base_comments() -> dict[str, str]:
    """Return the comments of all files of ``conf/base/parameters``, by dotted path."""
    return {key: said for file in sorted(CONF.glob("*.yml")) for key, said in comments(file.read_text()).items()}


def options_in(annotation: Any) -> type[Options] | None:
    """Return the options that a field holds, alone or as ``options | None``; None where it holds something else."""
    if isinstance(annotation, type) and issubclass(annotation, Options):
        return annotation
    if typing.get_origin(annotation) in (list, dict):
        return None
    found = (options_in(part) for part in typing.get_args(annotation))
    return next((part for part in found if part), None)


def type_name(schema: dict[str, Any]) -> str:
    """Write the type of a field from its JSON schema, with its bounds or its choices.

    >>> type_name({"type": "integer", "minimum": 1}), type_name({"enum": ["a", "b"]})
    ('integer, at least 1', '"a", "b"')
    """
    if "enum" in schema:
        return ", ".join(json.dumps(choice) for choice in schema["enum"])
    if "const" in schema:
        return json.dumps(schema["const"])
    if "anyOf" in schema:
        return " or ".join(type_name(part) for part in schema["anyOf"] if part.get("type") != "null")
    if "items" in schema:
        return f"list of {type_name(schema['items'])}"
    name = str(schema.get("type", "any"))
    name = "mapping" if name == "object" or "$ref" in schema else name
    return ", ".join(part for part in (name, bounds(schema)) if part)


def default_of(field: FieldInfo) -> str:
    """Write a default as YAML reads it."""
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, Options):
        return ""
    return code(json.dumps(value, default=list, ensure_ascii=False))


def rows(model: type[Options], prefix: str, said: dict[str, str]) -> Iterator[tuple[str, ...]]:
    """Yield a row for every option of a model, those of models inside it after the line of their own."""
    docs = attribute_docs(model)
    for name, field in model.model_fields.items():
        path = f"{prefix}.{name}" if prefix else name
        inside = options_in(field.annotation)
        about = docs.get(name) or plain(field.description) or (first_sentence(inside.__doc__) if inside else "")
        kind = "mapping" if inside else type_name(property_of(model, (name,)))
        yield code(path), kind, default_of(field), about, plain(said.get(path))
        if inside:
            yield from rows(inside, path, said)


def page() -> str:
    """Return the page: a section for the project's own keys, then one for each parameters file."""
    said, parts, alone = base_comments(), [INTRODUCTION], []
    for name, field in ProjectOptions.model_fields.items():
        inside = options_in(field.annotation)
        if inside is None:
            alone.append(name)
            continue
        parts += [f"## {name}\n", f"{first_sentence(inside.__doc__)}\n", f"{table(HEAD, rows(inside, name, said))}\n"]
    own = [row for row in rows(ProjectOptions, "", said) if row[0].strip("`") in alone]
    parts[1:1] = ["## project\n", "`parameters/project.yml`: what all pipelines share.\n", f"{table(HEAD, own)}\n"]
    return "\n".join(parts)
