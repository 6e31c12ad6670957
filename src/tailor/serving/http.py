"""The HTTP face: a thin FastAPI app over the class that MLflow serves too."""

import asyncio
import contextlib
import json
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from importlib.resources import files
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Header, HTTPException, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from tailor import __version__
from tailor.errors import BadInputError
from tailor.serving import schema
from tailor.serving.champion import Champion
from tailor.serving.faces import ASKED, Body, flat_model, form
from tailor.serving.recommender import Recommender
from tailor.serving.validation import sentence

MAX_BODY = 1_000_000
K = Annotated[int, Query(ge=1, le=1000)]
#: A model and its version: what one answer is made of.
Answering = tuple[Recommender, str]
_Asked: Any = flat_model("Asked", *ASKED)


class RecommendBody(_Asked):
    """One request with its settings; every field is optional."""


class ItemsBody(Body):
    """Items with the columns of the items table."""

    items: Annotated[list[dict[str, str | int | float | None]], Field(min_length=1, max_length=1000)]


class ItemAnswer(BaseModel):
    """One place of a list."""

    rank: int
    item_id: str
    title: str
    categories: list[str]
    score: float
    reason: str = ""
    explanation: dict[str, Any] | None = None


class ListAnswer(BaseModel):
    """A list, and how it came about."""

    path: str
    model_version: str
    unknown_history: int = 0
    unknown_candidates: int = 0
    items: list[ItemAnswer]
    titles: dict[str, str] = {}
    """Of the history items that explanations name."""


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
    refusals: dict[int | str, dict[str, Any]] = {code: {"model": Refusal} for code in (401, 411, 413, 422, 503)}
    app.include_router(_routes(champion, timeout_s), dependencies=allowed, responses=refusals)
    app.add_api_route("/metrics", _metrics(champion, meter), dependencies=allowed, include_in_schema=False)
    app.add_api_route("/health", lambda: _health(champion), response_class=JSONResponse, responses={503: {}})
    page = _page()
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

    async def within_time(call: Callable[..., Any], *args: Any) -> Any:
        try:
            return await asyncio.wait_for(run_in_threadpool(call, *args), timeout_s)
        except TimeoutError:
            raise HTTPException(503, f"No answer within {timeout_s:g} s", {"Retry-After": "1"}) from None

    @router.post("/recommend")
    async def recommend(body: RecommendBody) -> ListAnswer:
        """Recommend to a known user, from a history, from words, or to an anonymous user."""
        return await within_time(_recommend, champion.current(), body)

    @router.get("/similar/{item_id:path}")
    async def similar(item_id: str, k: K = 20) -> ListAnswer:
        """List the items closest to one, by factors and text."""
        return await within_time(_similar, champion.current(), item_id, k)

    @router.get("/items")
    async def items(q: Annotated[str, Query(max_length=100)] = "", k: K = 20) -> list[dict[str, Any]]:
        """Find items whose title contains all words of ``q``."""
        return await within_time(_find, champion.model, q, k)

    @router.put("/items")
    async def put_items(body: ItemsBody) -> dict[str, int]:
        """Add items, or change the text of known ones; recommendable when this returns."""
        return {"items": await within_time(champion.put, body.items)}

    @router.delete("/items/{item_id:path}")
    async def delete_item(item_id: str) -> dict[str, int]:
        """List an item no more."""
        return {"removed": await within_time(champion.remove, [item_id])}

    return router


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


def _recommend(answering: Answering, body: RecommendBody) -> ListAnswer:
    """Answer one request; the list, its titles and the version are of the same model."""
    model, version = answering
    given = body.model_dump(exclude_unset=True)
    request = schema.Request(**_fields_of(schema.Request, given))
    answer = model.recommend([request], schema.Settings(**_fields_of(schema.Settings, given)))[0]
    explained = sorted({item for entry in answer.explanations for item in entry["history"]})
    return ListAnswer(
        path=answer.path,
        model_version=version,
        unknown_history=answer.unknown_history,
        unknown_candidates=answer.unknown_candidates,
        items=_items(model, answer.item_ids, answer.scores, answer.reasons, answer.explanations),
        titles=dict(zip(explained, _titles(model, explained), strict=True)),
    )


def _fields_of(asked: type[BaseModel], given: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if name in asked.model_fields}


def _similar(answering: Answering, item_id: str, k: int) -> ListAnswer:
    model, version = answering
    item_ids, scores = model.similar(item_id, k)
    return ListAnswer(path="similar", model_version=version, items=_items(model, item_ids, scores))


def _items(
    model: Recommender,
    item_ids: Sequence[str],
    scores: Sequence[float],
    reasons: Sequence[str] = (),
    explanations: Sequence[dict[str, Any]] = (),
) -> list[ItemAnswer]:
    """Put titles and categories beside a list; reasons and explanations may end before it does."""
    titles, categories = _titles(model, item_ids), _categories(model, item_ids)
    return [
        ItemAnswer(
            rank=place + 1,
            item_id=item_id,
            title=titles[place],
            categories=categories[place],
            score=scores[place],
            reason=reasons[place] if place < len(reasons) else "",
            explanation=explanations[place] if place < len(explanations) else None,
        )
        for place, item_id in enumerate(item_ids)
    ]


def _titles(model: Recommender, item_ids: Sequence[str]) -> list[str]:
    """Return the titles of items; their ids where the model has no metadata."""
    if model.metadata is None:
        return list(item_ids)
    return [model.metadata.titles[index] for index in model.item_indices(item_ids)]


def _categories(model: Recommender, item_ids: Sequence[str]) -> list[list[str]]:
    if model.metadata is None:
        return [[] for _ in item_ids]
    return [model.metadata.categories[index] for index in model.item_indices(item_ids)]


def _find(model: Recommender, q: str, k: int) -> list[dict[str, Any]]:
    """Return the first k items, in the catalogue's order, whose title contains every word of ``q``."""
    metadata, words = model.known_metadata, q.lower().split()
    matching = (index for index, title in enumerate(metadata.titles) if all(word in title.lower() for word in words))
    listed = [index for index in matching if model.removed is None or not model.removed[index]][:k]
    return [
        {
            "item_id": model.item_ids[index],
            "title": metadata.titles[index],
            "categories": metadata.categories[index],
        }
        for index in listed
    ]
