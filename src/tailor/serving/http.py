"""The HTTP face: a thin FastAPI app over the class that MLflow serves too.

Bodies are read and checked, lists are made and written in the threads of :class:`tailor.serving.work.WorkLimit`. The
event loop only passes bytes on, so /health and /metrics answer however much is at work.
"""

import asyncio
import base64
import contextlib
import hashlib
import json
import re
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from tailor._version import __version__
from tailor.errors import BadInputError, ConfigurationError, did_you_mean
from tailor.serving import answers, api_docs
from tailor.serving.answers import ListAnswer, RecommendBody, UnknownItemError
from tailor.serving.bodies import BadBodyError, read_question, read_rows
from tailor.serving.champion import Champion
from tailor.serving.event_bodies import EXAMPLES, EventBody, read_events
from tailor.serving.experiment import Experiment, ExposureLog
from tailor.serving.faces import Body, form
from tailor.serving.guards import BoundedBodies, KnownHosts, Meter, Metered, SecurityHeaders, TokenNeeded
from tailor.serving.reach import MAX_SAMPLE, Audience, Reach
from tailor.serving.validation import sentences
from tailor.serving.work import BusyError, StillRunningError, WorkLimit
from tailor.types import JsonObject

#: Header of every answer that a model made: all of it is of this version.
VERSION = "Tailor-Model-Version"
#: Characters of a sentence of a refusal.
MAX_DETAIL = 4000
K = Annotated[int, Query(ge=1, le=1000, description="Longest list.", examples=[10])]
Words = Annotated[
    str, Query(max_length=100, description="Words of a title; none: the first items.", examples=["robot"])
]
OfScenario = Annotated[
    str | None,
    Query(max_length=100, description="What its block rule blocks is left out.", examples=["home"]),
]
_ROWS: JsonObject = {"A new item": {"items": [{"item_id": "late", "title": "Galaxy of robots", "genre": "Sci-Fi"}]}}


class ItemsBody(Body):
    """Items with the columns of the items table."""

    items: Annotated[list[dict[str, str | int | float | list[float] | None]], Field(min_length=1, max_length=1000)]


class Refusal(BaseModel):
    """What was wrong, where, and what to do."""

    detail: str
    errors: list[str] = []
    """Where a body has several problems: the first ten, a sentence each."""


@dataclass(frozen=True)
class Limits:
    """What one server takes at a time."""

    at_once: int = 4
    """Requests that are worked on side by side, and so threads."""
    waiting: int = 16
    """Requests that wait for a thread; more are refused."""
    timeout_s: float = 10.0
    """Seconds until a client is told that there is no answer."""
    body_s: float = 10.0
    """Seconds in which a body must have come."""
    changes_waiting: int = 8
    """Changes of items that wait for the one that is made."""
    events_waiting: int = 64
    """Calls with events that wait for the one that is stored."""


#: What somebody does who was not told that a change is made.
_LOOK, _REPEAT = "Look at GET /items before you repeat it.", "Ask again: what was done is not done twice."


class _Work:
    """Who does the work of the routes: threads for answers, one thread for changes, one for events."""

    def __init__(
        self,
        champion: Champion,
        limits: Limits,
        experiment: Experiment | None = None,
        exposures: ExposureLog | None = None,
    ) -> None:
        self.champion, self.experiment, self.exposures = champion, experiment, exposures
        self.answers = WorkLimit(limits.at_once, limits.waiting, limits.timeout_s)
        self.changes = WorkLimit(1, limits.changes_waiting, limits.timeout_s)
        self.events = WorkLimit(1, limits.events_waiting, limits.timeout_s)

    async def answer(self, call: Callable[..., BaseModel | JsonObject | list[JsonObject]], *args: Any) -> Response:
        """Answer with what one model says; its version goes along."""

        def written() -> Response:
            answering = self.champion.up_to_date()
            return _as_json(call(answering, *args), answering[1])

        return await self.answers.run(written)

    async def recommend(self, body: bytes) -> Response:
        """Answer with a list of the model whose arm the user is in; its version goes along."""

        def written() -> Response:
            answer = answers.recommend_in(self.champion, read_question(body), self.experiment, self.exposures)
            return _as_json(answer, answer.model_version)

        return await self.answers.run(written)

    @property
    def answering(self) -> list[Champion]:
        """The models that answer."""
        return [self.champion] if self.experiment is None else [self.champion, self.experiment.challenger]

    async def change(self, call: Callable[[], JsonObject], advice: str = _LOOK) -> Response:
        """Answer when a change is made, and on disk; where that takes long, say what to do."""
        try:
            return _as_json(await self.changes.run(call), self.champion.version)
        except StillRunningError:
            detail = f"The change is being made and is not stopped, but takes long. {advice}"
            return JSONResponse({"detail": detail}, 202)

    async def store(self, call: Callable[[], JsonObject]) -> Response:
        """Answer when events are on disk."""
        try:
            return _as_json(await self.events.run(call), self.champion.version)
        except StillRunningError:
            detail = "The events may be stored or not. Send them again with the same ids: what is known is stored once."
            return JSONResponse({"detail": detail}, 503, {"Retry-After": "1"})

    def count_by(self, meter: Meter) -> None:
        """Tell the meter what is at work and what is lost, as it happens: another process may be asked for it."""
        for kind, limit in (("answers", self.answers), ("changes", self.changes), ("events", self.events)):
            limit.on_change = meter.taken.labels(kind).set
            limit.on_change(0)
        if self.exposures is not None:
            self.exposures.on_loss = meter.exposures_lost.inc

    def close(self) -> None:
        """Begin nothing more."""
        for limit in (self.answers, self.changes, self.events):
            limit.close()


def _as_json(answer: BaseModel | JsonObject | list[JsonObject], version: str) -> Response:
    plain = answer.model_dump(mode="json") if isinstance(answer, BaseModel) else answer
    body = json.dumps(plain, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode(errors="replace")
    return Response(body, media_type="application/json", headers={VERSION: version})


def create_app(
    champion: Champion,
    token: str = "",
    limits: Limits | None = None,
    poll_s: float = 10.0,
    hosts: Sequence[str] = (),
    experiment: Experiment | None = None,
    exposures: ExposureLog | None = None,
) -> FastAPI:
    """Build the app.

    Args:
        champion: answers; looked at anew every ``poll_s`` seconds.
        token: where given, every route but /health and the page needs it as ``Authorization: Bearer``.
        limits: what is taken at a time.
        poll_s: seconds between two looks at the alias.
        hosts: names, beside those of loopback, that the server answers to; ``*`` for any.
        experiment: deals users out between the champion and a challenger.
        exposures: where what is listed is written.
    """
    limits = limits or Limits()
    meter, work = Meter(), _Work(champion, limits, experiment, exposures)
    work.count_by(meter)
    about = "Recommendations for known users, visitors and words; every refusal is one sentence in `detail`."
    follow = _following(work, poll_s)
    app = FastAPI(
        title="Tailor", version=__version__, description=about, lifespan=follow, docs_url=None, redoc_url=None
    )
    app.state.meter = meter
    _add_handlers(app)
    _add_guards(app, meter, token, limits, hosts)
    refusals: dict[int | str, JsonObject] = {code: {"model": Refusal} for code in (400, 401, 408, 413, 421, 422, 503)}
    app.include_router(_routes(work, names_users=bool(token)), responses=refusals)
    app.include_router(_plain_routes(champion, meter))
    api_docs.describe(app, [RecommendBody, ItemsBody, EventBody], bool(token))
    return app


def _add_guards(app: FastAPI, meter: Meter, token: str, limits: Limits, hosts: Sequence[str]) -> None:
    """Put the guards before the routes; the last one that is added sees a request first."""
    app.add_middleware(BoundedBodies, seconds=limits.body_s)
    app.add_middleware(TokenNeeded, token=token)
    app.add_middleware(KnownHosts, hosts=hosts)
    app.add_middleware(SecurityHeaders)
    app.add_middleware(Metered, meter=meter)


def _following(work: _Work, poll_s: float) -> Callable[[FastAPI], contextlib.AbstractAsyncContextManager[None]]:
    """Return a lifespan in which the aliases of the models that answer are followed."""

    @contextlib.asynccontextmanager
    async def follow(_: FastAPI) -> AsyncIterator[None]:
        async def forever() -> None:
            while True:
                await asyncio.sleep(poll_s)
                for model in work.answering:
                    await run_in_threadpool(model.refresh)

        task = asyncio.create_task(forever())
        yield
        task.cancel()
        work.close()

    return follow


def _no_other_parameters(request: Request) -> None:
    """Refuse a parameter in the address that the route does not have: a misspelt one would be passed over.

    Raises:
        BadInputError: naming it, and those that the route has.
    """
    known = [parameter.alias for parameter in request.scope["route"].dependant.query_params]
    for name in request.query_params:
        if name not in known:
            there = f"Known: {', '.join(known)}." if known else "This route has none; what it reads stands in the body."
            raise BadInputError(f"?{name[:40]}: no such parameter.{did_you_mean(name, known)} {there}")


def _routes(work: _Work, names_users: bool) -> APIRouter:
    """Return the routes that answer from the model."""
    router = APIRouter(dependencies=[Depends(_no_other_parameters)])

    @router.post(
        "/recommend",
        response_model=ListAnswer,
        summary="A list",
        openapi_extra=api_docs.body_of("RecommendBody", api_docs.examples_of(RecommendBody)),
    )
    async def recommend(request: Request) -> Response:
        """Recommend to a known user, from a history, from words, or to an anonymous user; nulls are not given."""
        body = await request.body()
        return await work.recommend(body)

    @router.get("/similar/{item_id:path}", response_model=ListAnswer, summary="More like one", responses=_UNKNOWN)
    async def similar(item_id: str, k: K = 20, scenario: OfScenario = None) -> Response:
        """List the items closest to one, by factors and text; what is in no list is not in this one."""
        return await work.answer(answers.similar, item_id, k, scenario)

    @router.get("/model", summary="What the model is")
    async def model() -> JsonObject:
        """Say what the model is: its operating point, scenarios, categories, filters, profile and context columns.

        ``serving``: what of the added items it cannot use, why a later version does not answer, and which experiment
        runs.
        """
        serving: JsonObject = {"notes": list(work.champion.notes), "last_error": work.champion.last_error}
        if work.experiment is not None:
            serving["experiment"] = work.experiment.describe()
        return await work.answer(lambda answering: answers.about(answering) | {"serving": serving})  # type: ignore[return-value]

    @router.get("/elicit", response_model=ListAnswer, summary="What to ask a new visitor")
    async def elicit(k: Annotated[int, Query(ge=1, le=100, description="Items to ask about.")] = 12) -> Response:
        """List the items whose answers tell most about a new visitor."""
        return await work.answer(answers.ask_about, k)

    _add_item_routes(router, work)
    _add_event_routes(router, work)
    _add_reach_routes(router, work, names_users)
    _add_user_routes(router, work)
    return router


_UNKNOWN: dict[int | str, JsonObject] = {404: {"model": Refusal, "description": "The item is unknown"}}
_NO_NAMES: dict[int | str, JsonObject] = {403: {"model": Refusal, "description": "The server has no token"}}
_GOES_ON: dict[int | str, JsonObject] = {202: {"model": Refusal, "description": "The change has begun and goes on"}}


def _add_item_routes(router: APIRouter, work: _Work) -> None:
    """Add the routes that find, add, change and remove items."""

    @router.get("/items", response_model=list[JsonObject], summary="Find items")
    async def items(q: Words = "", k: K = 20, scenario: OfScenario = None) -> Response:
        """Find items whose title contains all words of ``q``; what is in no list is not found."""
        return await work.answer(answers.find, q, k, scenario)

    @router.put(
        "/items",
        response_model=dict[str, int],
        summary="Add or change items",
        responses=_GOES_ON,
        openapi_extra=api_docs.body_of("ItemsBody", _ROWS),
    )
    async def put_items(request: Request) -> Response:
        """Add items, or change the text of known ones; recommendable, and on disk, when this returns 200."""
        body = await request.body()
        return await work.change(lambda: {"items": work.champion.put(read_rows(body))})

    @router.delete(
        "/items/{item_id:path}",
        response_model=dict[str, int],
        summary="Remove an item",
        responses=_UNKNOWN | _GOES_ON,
    )
    async def delete_item(item_id: str) -> Response:
        """List an item no more."""
        return await work.change(lambda: {"removed": answers.remove(work.champion, item_id)})


def _add_event_routes(router: APIRouter, work: _Work) -> None:
    """Add the route that takes what people did."""

    @router.post(
        "/events",
        response_model=dict[str, int],
        summary="What people did",
        openapi_extra=api_docs.body_of("EventBody", EXAMPLES, or_list=True),
    )
    async def events(request: Request) -> Response:
        """Store one event, or a list of up to 1,000; on disk, and in its user's next answer, when this returns 200."""
        body = await request.body()
        return await work.store(lambda: work.champion.take_events(read_events(body)))


def _add_reach_routes(router: APIRouter, work: _Work, names_users: bool) -> None:
    """Add the routes that look at lists from the side of an item."""

    @router.get("/items/{item_id:path}/reach", response_model=Reach, summary="Whom an item reaches", responses=_UNKNOWN)
    async def of_item(
        item_id: str,
        k: K = 20,
        users: Annotated[int, Query(ge=1, le=MAX_SAMPLE, description="Users that are drawn, by seed.")] = 300,
        text: Annotated[str, Query(max_length=2000, description="Another text of the item, to try out.")] = "",
    ) -> Response:
        """Say to how many users an item is listed, what holds it back, and what boosts or another text would change."""
        return await work.answer(answers.reach_of, item_id, k, users, text)

    @router.get(
        "/users-for/{item_id:path}",
        response_model=Audience,
        summary="Users for an item",
        responses=_UNKNOWN | _NO_NAMES,
    )
    async def users_for(item_id: str, k: K = 20) -> Response:
        """List the users whom an item suits best. It names users, so the server needs a token."""
        if not names_users:
            raise HTTPException(403, "Users are named only by a server with a token: set TAILOR_TOKEN.")
        return await work.answer(answers.users_for, item_id, k)


def _add_user_routes(router: APIRouter, work: _Work) -> None:
    """Add the route by which a person is forgotten."""

    @router.delete("/users/{user_id:path}", response_model=JsonObject, summary="Forget a person", responses=_GOES_ON)
    async def delete_user(user_id: str) -> Response:
        """Know a person no more, and delete what was recorded of them; on disk when this returns 200.

        Later requests with this id are answered like those of anybody unknown. Asking again changes nothing. The
        answer is the same for an id that was never known.
        """
        return await work.change(lambda: answers.forget(work.champion, user_id), _REPEAT)


def _plain_routes(champion: Champion, meter: Meter) -> APIRouter:
    """Return the routes that need no thread: the page, /docs, /health and /metrics."""
    router, text = APIRouter(), _page()
    page = HTMLResponse(text, headers={"Content-Security-Policy": _policy(text)})
    api_docs.add_docs(router)

    @router.get("/", include_in_schema=False)
    async def start() -> Response:
        return page

    @router.get("/health", response_class=JSONResponse, responses={503: {}}, summary="Whether a model answers")
    async def health() -> Response:
        """Say which version answers, whether the last look at the alias failed, and how many notes there are on added
        items; what they say is told by /model. No token is needed.
        """
        answering = champion.answering
        version = answering[1] if answering else ""
        state = {
            "status": "ok" if answering else "no model",
            "version": version,
            "last_error": bool(champion.last_error),
            "notes": len(champion.notes),
        }
        return JSONResponse(state, 200 if answering else 503)

    @router.get("/metrics", include_in_schema=False)
    async def metrics() -> Response:
        answering = champion.answering
        if answering:
            meter.version.set(float(answering[1] or 0))
            meter.items.set(len(answering[0].item_ids))
        return Response(meter.text(), media_type="text/plain; version=0.0.4")

    return router


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


def _add_handlers(app: FastAPI) -> None:
    """Turn what is raised into a sentence and a status."""
    statuses: list[tuple[type[Exception], int]] = [
        (BadInputError, 422),
        (ConfigurationError, 503),
        (UnknownItemError, 404),
        (BusyError, 503),
        (StillRunningError, 503),
    ]
    for kind, status in statuses:
        app.exception_handler(kind)(_refused(status))
    app.exception_handler(RequestValidationError)(_invalid)


def _refused(status: int) -> Callable[[Request, Exception], Response]:
    async def refused(_: Request, problem: Exception) -> Response:
        answer: JsonObject = {"detail": str(problem)[:MAX_DETAIL]}
        if isinstance(problem, BadBodyError) and len(problem.problems) > 1:
            answer["errors"] = problem.problems
        code = getattr(problem, "http_status", status)
        return JSONResponse(answer, code, {"Retry-After": "1"} if code == 503 else None)

    return refused  # type: ignore[return-value]


async def _invalid(_: Request, problem: Exception) -> JSONResponse:
    """Say in one sentence what pydantic refused of a path or a query."""
    assert isinstance(problem, RequestValidationError)  # noqa: S101  (registered for nothing else)
    errors = [error | {"loc": error["loc"][1:]} for error in problem.errors()]
    return JSONResponse({"detail": sentences(errors, Body)[0]}, 422)
