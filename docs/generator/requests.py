"""The page of requests: columns, params and answers, and the routes of the HTTP face."""

from types import SimpleNamespace
from typing import Any

from docs.generator.markdown import code, plain, table
from tailor.serving.faces import tables
from tailor.serving.http import create_app

INTRODUCTION = """# Requests, answers and routes

One definition, `tailor.serving.schema`, makes MLflow's signature, the HTTP body, the page's form and these tables. How
they work together is in [inference](../pipelines/inference.md); how a server is run, in [serve](../how-to/serve.md).

## Requests and answers
"""
ROUTES = """## Routes

`make serve` listens on http://127.0.0.1:5071; its `/docs` shows bodies and examples, and `/openapi.json` describes them
for programs.
"""
#: Routes that the description for programs leaves out.
PLAIN = (
    ("GET", "/", "The page", "A page to try the model in a browser."),
    ("GET", "/metrics", "Figures of the server", "Counts and times for Prometheus, by route and status."),
    ("GET", "/docs", "The description", "All routes with bodies and examples, without the internet."),
)


def operations() -> list[tuple[str, ...]]:
    """Return method, route, summary and description of every operation of the OpenAPI description."""
    champion: Any = SimpleNamespace(answering=None, last_error="", refresh=lambda: False)
    paths = create_app(champion).openapi()["paths"]
    return [
        (method.upper(), path, str(one.get("summary", "")), str(one.get("description", "")))
        for path, of in paths.items()
        for method, one in of.items()
    ]


def page() -> str:
    """Return the page."""
    cells = [(method, code(path), summary, plain(said)) for method, path, summary, said in (*operations(), *PLAIN)]
    routes = table(("method", "route", "answers with", "what it does"), cells)
    return f"{INTRODUCTION}\n{tables()}\n\n{ROUTES}\n{routes}\n"
