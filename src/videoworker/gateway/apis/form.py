"""What an API's HTTP form is, and what the JSON forms share: bodies, errors, and documents."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse
from fastapi_offline import FastAPIOffline
from sqlalchemy.exc import DBAPIError
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.responses import Response
from starlette.routing import Match

from videoworker.apis.api import Api
from videoworker.apis.quoting import quoted
from videoworker.database.faults import DatabaseReplacedError
from videoworker.errors import Code, FieldProblem, JobError
from videoworker.gateway.apis import described
from videoworker.gateway.apis.reference import OwnSiteOnly
from videoworker.gateway.endpoint import MAX_RUN_BYTES
from videoworker.gateway.pictures import MOST_FORM_BYTES
from videoworker.gateway.service import ANY, QueueFullError, Service, Wish
from videoworker.http.body import limited_body, parse_json
from videoworker.http.form import limited_form
from videoworker.http.room import Room

_RETRY_SECONDS = 30  # told with every 503
_ROOM = Room(200_000_000)  # for bodies that arrive: ten of the largest at once


@dataclass(frozen=True)
class HttpForm:
    """An API over HTTP. `port` is its document's. `app` makes the ASGI application, whose paths are the document's.
    `wish` is what it wants for every new job, from its page too. `check` raises `HTTPException` if its page may not
    submit a job: it asks for the token that the document asks for. `has_page`: it has the web page of this package;
    else the document wants another one."""

    api: Api[Any]
    port: int
    app: Callable[[Service], FastAPI]
    wish: Callable[[Service], Wish] = lambda _: ANY
    check: Callable[[Service, Request], Awaitable[None]] | None = None
    has_page: bool = True


@dataclass(frozen=True)
class Refusal:
    """An answer that is an error. `error` is what it comes from, if it is one of ours: HTTP has others."""

    status: int
    message: str
    error: JobError | None = None
    headers: dict[str, str] = field(default_factory=dict)


Body = Callable[[Refusal], dict[str, Any]]
Function = TypeVar("Function", bound=Callable[..., Any])


def json_app(service: Service, title: str, body: Body, invalid: int = 400) -> FastAPI:
    """An application without routes. Whatever goes wrong is answered with `body` of it, in the document's form. A
    request whose fields are wrong has the status `invalid`.

    Its `/docs` and `/redoc` need no internet. Any site's pages may call it: the documents' clients run in browsers too,
    and no cookie is looked at.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await service.cancel_abandoned()
        yield

    app = FastAPIOffline(title=title, version="1.0.0", responses=described.ALWAYS, lifespan=lifespan)
    described.complete(app, invalid)
    app.add_middleware(OwnSiteOnly)
    app.add_middleware(CORSMiddleware, allow_origins=["*"], allow_methods=["*"], allow_headers=["*"])
    answer_errors(app, service, body, invalid)
    return app


def answer_errors(app: FastAPI, service: Service, body: Body, invalid: int = 400) -> None:
    """Whatever goes wrong in the application is answered with `body` of it. A request whose fields are wrong has the
    status `invalid`."""

    def answered(refusal: Refusal) -> Response:
        headers = refusal.headers | ({"Retry-After": str(_RETRY_SECONDS)} if refusal.status == 503 else {})
        return JSONResponse(body(refusal), refusal.status, headers)

    def refused(error: JobError) -> Response:
        return answered(Refusal(invalid if error.status == 400 else error.status, error.message, error))

    @app.exception_handler(StarletteHTTPException)
    async def http_error(request: Request, error: StarletteHTTPException) -> Response:
        headers = dict(error.headers or {})
        if error.status_code == 405:
            headers["Allow"] = _allowed(request)
        return answered(Refusal(error.status_code, error.detail, headers=headers))

    @app.exception_handler(RequestValidationError)
    async def invalid_parameter(request: Request, error: RequestValidationError) -> Response:
        problems = tuple(FieldProblem(str(one["loc"][-1]), quoted(one["input"]), one["msg"]) for one in error.errors())
        return refused(JobError(Code.INVALID_FIELD, "; ".join(map(str, problems)), problems))

    @app.exception_handler(JobError)
    async def job_error(request: Request, error: JobError) -> Response:
        return refused(error)

    @app.exception_handler(QueueFullError)
    async def queue_full(request: Request, error: QueueFullError) -> Response:
        return answered(Refusal(503, "The queue is full. Please try again when a video is finished."))

    @app.exception_handler(DBAPIError)
    @app.exception_handler(DatabaseReplacedError)
    async def database_fault(request: Request, error: Exception) -> Response:
        service.tell(error)
        return answered(Refusal(503, "The service cannot reach its jobs now. Please try again in a minute."))

    @app.exception_handler(Exception)
    async def fault(request: Request, error: Exception) -> Response:
        return answered(Refusal(500, "Internal server error"))


def fastapi_error(refusal: Refusal) -> dict[str, Any]:
    """The body of services that answer errors as FastAPI does: `detail`, which is a list if fields are wrong."""
    if refusal.status != 422 or refusal.error is None:
        return {"detail": refusal.message}
    problems = [
        {"type": "value_error", "loc": ["body", one.field], "msg": one.allowed, "input": one.given}
        for one in refusal.error.fields
    ]
    return {"detail": problems}


async def json_body(request: Request) -> Any:
    """The request's body, whatever its content type says. Raises `HTTPException`."""
    return parse_json(await limited_body(request, MAX_RUN_BYTES, _ROOM))


def form_body(request: Request) -> AbstractAsyncContextManager[dict[str, str | UploadFile]]:
    """The request's form, as `limited_form` gives it."""
    return limited_form(request, MOST_FORM_BYTES, _ROOM)


def _allowed(request: Request) -> str:
    """The methods of all routes that have the path. Starlette tells those of the first."""
    routes = [route for route in request.app.routes if route.matches(request.scope)[0] is not Match.NONE]
    return ", ".join(sorted({method for route in routes for method in getattr(route, "methods", None) or ()}))


def get_and_head(app: FastAPI, path: str, **options: Any) -> Callable[[Function], Function]:
    """A decorator: the function answers both. HEAD is not described: it is what GET is, without the body."""

    def add(function: Function) -> Function:
        app.head(path, include_in_schema=False, **options)(function)
        return app.get(path, **options)(function)

    return add


def not_found(message: str) -> HTTPException:
    return HTTPException(404, message)
