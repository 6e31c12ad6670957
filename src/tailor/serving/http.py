"""The HTTP face: a thin FastAPI app over the class that MLflow serves too."""

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import asdict
from importlib.resources import files
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Header, HTTPException, Query, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from tailor import __version__
from tailor.errors import BadInputError
from tailor.serving import schema as asked
from tailor.serving.champion import Champion
from tailor.serving.query import MAX_QUERY
from tailor.serving.recommender import Recommender

MAX_BODY = 1_000_000
#: Over HTTP; in process up to ``request.MAX_K`` and ``request.MAX_ITEMS``.
MAX_K, MAX_IDS = 1000, 1000
Id = Annotated[str, Field(min_length=1, max_length=200)]
Ids = Annotated[list[Id], Field(max_length=MAX_IDS)]
Share = Annotated[float, Field(ge=0, le=1)]


class Body(BaseModel):
    """A misspelt key is an error, not a default."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class RecommendBody(Body):
    """One request with its settings; every field is optional."""

    user_id: Id | None = None
    history: Ids = []
    weights: Annotated[list[Annotated[float, Field(gt=0, le=asked.MAX_WEIGHT)]], Field(max_length=MAX_IDS)] = []
    query: Annotated[str, Field(max_length=MAX_QUERY)] = ""
    profile: Annotated[dict[str, str | int | float], Field(max_length=20)] = {}
    context: Annotated[dict[str, str | int | float], Field(max_length=20)] = {}
    filters: Annotated[dict[str, Any], Field(max_length=20)] = {}
    candidates: Ids = []
    exclude: Ids = []
    k: Annotated[int, Field(ge=1, le=MAX_K)] = 20
    exclude_seen: bool = True
    tail_boost: Share | None = None
    popularity_debias: Share | None = None
    cold_boost: Share | None = None
    diversity: Share | None = None
    half_life: Annotated[float, Field(gt=0)] | None = None
    min_score: float | None = None
    scenario: Annotated[str, Field(max_length=100)] | None = None
    explain: bool = False


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


class ItemsBody(Body):
    """Items with the columns of the items table."""

    items: Annotated[list[dict[str, str | int | float | None]], Field(min_length=1, max_length=1000)]


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
    meter = _Meter()

    def allowed(authorization: Annotated[str, Header()] = "") -> None:
        if token and not secrets.compare_digest(authorization.encode(), f"Bearer {token}".encode()):
            raise HTTPException(401, "A token is needed: Authorization: Bearer ...")

    app = FastAPI(title="Tailor", version=__version__, lifespan=_following(champion, poll_s))
    app.middleware("http")(_bounded(meter))
    app.exception_handler(BadInputError)(_refused)
    told: dict[int | str, dict[str, Any]] = {401: {}, 411: {}, 413: {}, 503: {}}
    app.include_router(_routes(champion, timeout_s), dependencies=[Depends(allowed)], responses=told)
    app.add_api_route("/metrics", _metrics(champion, meter), dependencies=[Depends(allowed)], include_in_schema=False)
    app.add_api_route("/health", lambda: _health(champion), response_class=JSONResponse, responses={503: {}})
    app.add_api_route("/", _page, response_class=HTMLResponse, include_in_schema=False)
    return app


def _following(champion: Champion, poll_s: float) -> Callable[[FastAPI], contextlib.AbstractAsyncContextManager[None]]:
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
    router = APIRouter()

    async def work(call: Callable[..., Any], *args: Any) -> Any:
        try:
            return await asyncio.wait_for(run_in_threadpool(call, *args), timeout_s)
        except TimeoutError:
            raise HTTPException(503, f"No answer within {timeout_s:g} s", {"Retry-After": "1"}) from None

    @router.post("/recommend")
    async def recommend(body: RecommendBody) -> ListAnswer:
        """Recommend to a user, a session, a wish in words, or a stranger."""
        return await work(_recommend, champion, body)

    @router.get("/similar/{item_id:path}")
    async def similar(item_id: str, k: Annotated[int, Query(ge=1, le=MAX_K)] = 20) -> ListAnswer:
        """List the items closest to one, by factors and text."""
        return await work(_similar, champion, item_id, k)

    @router.get("/items")
    async def items(
        q: Annotated[str, Query(max_length=100)] = "", k: Annotated[int, Query(ge=1, le=MAX_K)] = 20
    ) -> list[dict[str, Any]]:
        """Find items whose title contains all words of ``q``."""
        return await work(_find, champion, q, k)

    @router.put("/items")
    async def put_items(body: ItemsBody) -> dict[str, int]:
        """Add items, or change the text of known ones; recommendable when this returns."""
        return {"items": await work(champion.put, body.items)}

    @router.delete("/items/{item_id:path}")
    async def delete_item(item_id: str) -> dict[str, int]:
        """List an item no more."""
        return {"removed": await work(champion.remove, [item_id])}

    return router


def _metrics(champion: Champion, meter: _Meter) -> Callable[[], Awaitable[Response]]:
    async def metrics() -> Response:
        meter.version.set(float(champion.version or 0))
        meter.items.set(len(champion.current().item_ids))
        return Response(generate_latest(meter.registry), media_type="text/plain; version=0.0.4")

    return metrics


def _health(champion: Champion) -> JSONResponse:
    told = {"status": "ok", "version": champion.version, "trouble": bool(champion.last_error)}
    return JSONResponse(told, 200 if champion.served is not None else 503)


async def _page() -> str:
    return files("tailor.serving").joinpath("page.html").read_text()


async def _refused(_: Request, problem: Exception) -> JSONResponse:
    return JSONResponse({"detail": str(problem)}, 422)


def _bounded(meter: _Meter) -> Callable[[Request, Callable[[Request], Awaitable[Response]]], Awaitable[Response]]:
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


def _recommend(champion: Champion, body: RecommendBody) -> ListAnswer:
    served, version = champion.current(), champion.version
    fields = body.model_dump()
    request = asked.Request(
        **{name: fields.pop(name) for name in list(fields) if name in asked.Request.__dataclass_fields__}
    )
    answer = served.recommend([request], asked.Settings(**fields))[0]
    told = asdict(answer)
    items = _items(champion, answer.item_ids, answer.scores)
    for at, item in enumerate(items):
        item.reason = answer.reasons[at] if at < len(answer.reasons) else ""
        item.explanation = answer.explanations[at] if at < len(answer.explanations) else None
    kept = {name: told[name] for name in ("path", "unknown_history", "unknown_candidates")}
    named = sorted({item for told in answer.explanations for item in told["history"]})
    return ListAnswer(model_version=version, items=items, titles=_titles(served, named), **kept)


def _titles(served: Recommender, ids: list[str]) -> dict[str, str]:
    metadata = served.metadata
    return {item: metadata.titles[at] if metadata else item for item, at in zip(ids, served.places(ids), strict=True)}


def _similar(champion: Champion, item_id: str, k: int) -> ListAnswer:
    found = champion.current().similar(item_id, k)
    return ListAnswer(path="similar", model_version=champion.version, items=_items(champion, *found))


def _items(champion: Champion, ids: list[str], scores: list[float]) -> list[ItemAnswer]:
    served = champion.current()
    metadata, at, titles = served.metadata, served.places(ids), _titles(served, ids)
    return [
        ItemAnswer(
            rank=rank,
            item_id=item,
            title=titles[item],
            categories=metadata.categories[row] if metadata else [],
            score=score,
        )
        for rank, (item, row, score) in enumerate(zip(ids, at, scores, strict=True), start=1)
    ]


def _find(champion: Champion, q: str, k: int) -> list[dict[str, Any]]:
    served = champion.current()
    metadata, wanted = served.known_metadata, q.lower().split()
    rows = (at for at, title in enumerate(metadata.titles) if all(word in title.lower() for word in wanted))
    gone = served.removed
    listed = [at for at in rows if gone is None or not gone[at]][:k]
    return [
        {"item_id": served.item_ids[at], "title": metadata.titles[at], "categories": metadata.categories[at]}
        for at in listed
    ]
