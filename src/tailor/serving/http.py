"""The HTTP face: a thin FastAPI app over the class that MLflow serves too."""

import asyncio
import base64
import contextlib
import hashlib
import json
import re
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from importlib.resources import files
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, FastAPI, Header, HTTPException, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from tailor._version import __version__
from tailor.errors import BadInputError
from tailor.serving import answers
from tailor.serving.answers import ListAnswer, RecommendBody
from tailor.serving.champion import Champion
from tailor.serving.faces import Body, form
from tailor.serving.validation import sentence
from tailor.types import JsonObject

MAX_BODY = 1_000_000
T = TypeVar("T")
K = Annotated[int, Query(ge=1, le=1000)]


class ItemsBody(Body):
    """Items with the columns of the items table."""

    items: Annotated[list[dict[str, str | int | float | list[float] | None]], Field(min_length=1, max_length=1000)]


class Refusal(BaseModel):
    """What was wrong, where, and what to do."""

    detail: str


class _Meter:
    """Prometheus figures of one app."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        labels = ["route", "status"]
        self.requests = Counter("tailor_requests", "Requests answered", labels, registry=self.registry)
        self.seconds = Histogram("tailor_request_seconds", "Time to answer", ["route"], registry=self.registry)
        self.version = Gauge("tailor_model_version", "Version that answers", registry=self.registry)
        self.items = Gauge("tailor_items", "Items of the catalogue", registry=self.registry)


def create_app(champion: Champion, token: str = "", timeout_s: float = 10.0, poll_s: float = 10.0) -> FastAPI:
    """Build the app.

    Args:
        champion: answers; looked at anew every ``poll_s`` seconds.
        token: where given, every route but /health needs it as ``Authorization: Bearer``.
        timeout_s: an answer that takes longer is given up with 503.
        poll_s: seconds between two looks at the alias.
    """
    meter, allowed = _Meter(), [Depends(_needs(token))]
    app = FastAPI(title="Tailor", version=__version__, lifespan=_following(champion, poll_s))
    app.middleware("http")(_bounded(meter))
    app.exception_handler(BadInputError)(_refused)
    app.exception_handler(RequestValidationError)(_invalid)
    refusals: dict[int | str, JsonObject] = {code: {"model": Refusal} for code in (401, 411, 413, 422, 503)}
    app.include_router(_routes(champion, timeout_s), dependencies=allowed, responses=refusals)
    app.add_api_route("/metrics", _metrics(champion, meter), dependencies=allowed, include_in_schema=False)
    app.add_api_route("/health", lambda: _health(champion), response_class=JSONResponse, responses={503: {}})
    page = HTMLResponse(_page(), headers={"Content-Security-Policy": _policy(_page())})
    app.add_api_route("/", lambda: page, response_class=HTMLResponse, include_in_schema=False)
    return app


def _needs(token: str) -> Callable[[str], None]:
    """Return a check of the token, if there is one."""

    def check(authorization: Annotated[str, Header()] = "") -> None:
        if token and not secrets.compare_digest(authorization.encode(), f"Bearer {token}".encode()):
            raise HTTPException(401, "A token is needed: Authorization: Bearer ...")

    return check


def _following(champion: Champion, poll_s: float) -> Callable[[FastAPI], contextlib.AbstractAsyncContextManager[None]]:
    """Return a lifespan in which the champion's alias is followed."""

    @contextlib.asynccontextmanager
    async def follow(_: FastAPI) -> AsyncIterator[None]:
        async def forever() -> None:
            while True:
                await asyncio.sleep(poll_s)
                await run_in_threadpool(champion.refresh)

        task = asyncio.create_task(forever())
        yield
        task.cancel()

    return follow


def _routes(champion: Champion, timeout_s: float) -> APIRouter:
    """Return the routes that answer from the model; each is given up after ``timeout_s``."""
    router = APIRouter()

    @router.post("/recommend")
    async def recommend(body: RecommendBody) -> ListAnswer:
        """Recommend to a known user, from a history, from words, or to an anonymous user."""
        return await _within(timeout_s, answers.recommend, champion.current(), body)

    @router.get("/similar/{item_id:path}")
    async def similar(item_id: str, k: K = 20) -> ListAnswer:
        """List the items closest to one, by factors and text."""
        return await _within(timeout_s, answers.similar, champion.current(), item_id, k)

    @router.get("/model")
    async def model() -> JsonObject:
        """Say what the model is: its operating point, scenarios, categories, filters, profile and context columns."""
        return await _within(timeout_s, answers.about, champion.current())

    @router.get("/elicit")
    async def elicit(k: Annotated[int, Query(ge=1, le=100)] = 12) -> ListAnswer:
        """List the items whose answers tell most about a new visitor."""
        return await _within(timeout_s, answers.ask_about, champion.current(), k)

    _item_routes(router, champion, timeout_s)
    return router


def _item_routes(router: APIRouter, champion: Champion, timeout_s: float) -> None:
    """Add the routes that find, add, change and remove items."""

    @router.get("/items")
    async def items(q: Annotated[str, Query(max_length=100)] = "", k: K = 20) -> list[JsonObject]:
        """Find items whose title contains all words of ``q``."""
        return await _within(timeout_s, answers.find, champion.model, q, k)

    @router.put("/items")
    async def put_items(body: ItemsBody) -> dict[str, int]:
        """Add items, or change the text of known ones; recommendable when this returns."""
        return {"items": await _within(timeout_s, champion.put, body.items)}

    @router.delete("/items/{item_id:path}")
    async def delete_item(item_id: str) -> dict[str, int]:
        """List an item no more."""
        return {"removed": await _within(timeout_s, champion.remove, [item_id])}


async def _within(timeout_s: float, call: Callable[..., T], *args: Any) -> T:
    """Call in a thread; answer 503 when it takes too long."""
    try:
        return await asyncio.wait_for(run_in_threadpool(call, *args), timeout_s)
    except TimeoutError:
        raise HTTPException(503, f"No answer within {timeout_s:g} s", {"Retry-After": "1"}) from None


def _metrics(champion: Champion, meter: _Meter) -> Callable[[], Awaitable[Response]]:
    async def metrics() -> Response:
        model, version = champion.current()
        meter.version.set(float(version or 0))
        meter.items.set(len(model.item_ids))
        return Response(generate_latest(meter.registry), media_type="text/plain; version=0.0.4")

    return metrics


def _health(champion: Champion) -> JSONResponse:
    state = {"status": "ok", "version": champion.version, "last_error": bool(champion.last_error)}
    return JSONResponse(state, 200 if champion.answering is not None else 503)


def _page() -> str:
    """Return the page with the inputs of its form, as data."""
    inputs = json.dumps(form()).replace("</", "<\\/")
    return files("tailor.serving").joinpath("page.html").read_text().replace("{{ inputs }}", inputs)


def _policy(page: str) -> str:
    """Return a policy under which the page runs its own script and style, asks its own server, and nothing else."""

    def hashes(tag: str) -> str:
        blocks = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        digests = (base64.b64encode(hashlib.sha256(block.encode()).digest()).decode() for block in blocks)
        return " ".join(f"'sha256-{digest}'" for digest in digests)

    rest = "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    return f"default-src 'none'; script-src {hashes('script')}; style-src {hashes('style')}; {rest}"


async def _refused(_: Request, problem: Exception) -> JSONResponse:
    return JSONResponse({"detail": str(problem)}, 422)


async def _invalid(request: Request, problem: Exception) -> JSONResponse:
    """Say in one sentence what pydantic refused of a body, a path or a query."""
    assert isinstance(problem, RequestValidationError)  # noqa: S101  (registered for nothing else)
    model = {"POST": RecommendBody, "PUT": ItemsBody}.get(request.method, Body)
    errors = [error | {"loc": error["loc"][1:]} for error in problem.errors()]
    return JSONResponse({"detail": sentence(errors, model)}, 422)


def _bounded(meter: _Meter) -> Callable[[Request, Callable[[Request], Awaitable[Response]]], Awaitable[Response]]:
    """Return a middleware that bounds bodies and counts answers."""

    async def bounded(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        started = time.perf_counter()
        if int(request.headers.get("content-length") or 0) > MAX_BODY:
            return JSONResponse({"detail": f"The body is larger than {MAX_BODY} bytes"}, 413)
        if "chunked" in request.headers.get("transfer-encoding", ""):
            return JSONResponse({"detail": "Send a Content-Length"}, 411)
        response = await call_next(request)
        route = getattr(request.scope.get("route"), "path", "other")
        meter.requests.labels(route, response.status_code).inc()
        meter.seconds.labels(route).observe(time.perf_counter() - started)
        return response

    return bounded
