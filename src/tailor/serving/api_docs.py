"""The description of the HTTP face: OpenAPI with examples, shown by Swagger UI from an installed package."""

import base64
import hashlib
from functools import cache
from importlib.resources import files
from importlib.util import find_spec

from fastapi import APIRouter, FastAPI, HTTPException, Response
from fastapi.openapi.utils import get_openapi
from fastapi.responses import HTMLResponse
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from tailor.types import JsonObject

#: Brings the files of Swagger UI.
PACKAGE = "fastapi_offline"
_FILES = {"swagger-ui.css": "text/css", "swagger-ui-bundle.js": "text/javascript"}
_SCHEMAS = "#/components/schemas/{model}"
_START = (
    'SwaggerUIBundle({url: "openapi.json", dom_id: "#ui", deepLinking: true, validatorUrl: null, '
    "presets: [SwaggerUIBundle.presets.apis]});"
)
_PAGE = f"""<!doctype html>
<html lang="en">
<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Tailor: the HTTP interface</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="docs/swagger-ui.css">
<div id="ui"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script>{_START}</script>
</html>
"""
#: Swagger UI writes style attributes, so style is not bound to hashes; scripts are.
_POLICY = (
    "default-src 'none'; script-src 'self' 'sha256-{start}'; style-src 'self' 'unsafe-inline'; img-src data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def body_of(model: str, examples: JsonObject, *, or_list: bool = False) -> JsonObject:
    """Return what OpenAPI says of a body that a route reads itself.

    Args:
        model: name of its schema.
        examples: bodies by what they are for.
        or_list: whether a body may be a list of such, too.
    """
    named = {name: {"summary": name, "value": value} for name, value in examples.items()}
    schema: JsonObject = {"$ref": _SCHEMAS.format(model=model)}
    if or_list:
        schema = {"anyOf": [schema, {"type": "array", "items": schema}]}
    described = {"schema": schema, "examples": named}
    return {"requestBody": {"required": True, "content": {"application/json": described}}}


def examples_of(model: type[BaseModel]) -> JsonObject:
    """Return an example of a body for each field that has one: that field alone."""
    fields = model.model_fields.items()
    return {field.title or name: {name: field.examples[0]} for name, field in fields if field.examples}


def describe(app: FastAPI, bodies: list[type[BaseModel]], token: bool) -> None:
    """Let an app's OpenAPI have the schemas of its bodies, and say that a token is needed.

    Args:
        app: whose description it is.
        bodies: models that :func:`body_of` names.
        token: whether there is one.
    """

    def openapi() -> JsonObject:
        if app.openapi_schema is None:
            made = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
            parts = made.setdefault("components", {})
            models = [(model, "validation") for model in bodies]
            schemas = models_json_schema(models, ref_template=_SCHEMAS)[1]["$defs"]  # type: ignore[arg-type]
            parts["schemas"] = parts.get("schemas", {}) | schemas
            if token:
                parts["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
                made["security"] = [{"token": []}]
            app.openapi_schema = made
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def add_docs(router: APIRouter) -> None:
    """Add /docs and the files that it loads."""
    start = base64.b64encode(hashlib.sha256(_START.encode()).digest()).decode()
    page = HTMLResponse(_PAGE, headers={"Content-Security-Policy": _POLICY.format(start=start)})

    @router.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        _installed()
        return page

    @router.get("/docs/{name}", include_in_schema=False)
    async def file(name: str) -> Response:
        _installed()
        if name not in _FILES:
            raise HTTPException(404, "There is no such file")
        return Response(_read(name), media_type=_FILES[name], headers={"Cache-Control": "private, max-age=3600"})


def _installed() -> None:
    if find_spec(PACKAGE) is None:
        raise HTTPException(404, "This page needs the package fastapi-offline: pip install 'tailor-recsys[serve]'")


@cache
def _read(name: str) -> bytes:
    return files(PACKAGE).joinpath("static", name).read_bytes()
