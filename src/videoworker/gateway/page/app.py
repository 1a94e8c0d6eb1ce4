"""An API's own application with the page before it: at `/ui/`, and at `/` where the document leaves that free.

If the API answers at `/` itself, browsers get the page there, since they ask for HTML. Programs get the answer.
"""

import html
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from string import Template
from typing import Any

from fastapi import FastAPI, Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from fastapi.security.base import SecurityBase
from starlette.applications import Starlette
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from videoworker.apis.common_fields import code_and_fields
from videoworker.gateway.apis.form import HttpForm, Refusal, answer_errors
from videoworker.gateway.page.fields import fields
from videoworker.gateway.page.routes import routes
from videoworker.gateway.service import Service

_STATIC = Path(__file__).parent / "static"

# The page may do nothing but what it does. A job's id in its URL goes to no other site.
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "media-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
    "Vary": "Accept",
}


def with_page(form: HttpForm, service: Service, app: FastAPI) -> ASGIApp:
    """The API's application `app`, and the page. Raises `ValueError` if the API asks for tokens and its page would
    not."""
    own = [route for route in app.routes if isinstance(route, APIRoute)]
    if form.check is None and any(_asks_for_token(route.dependant) for route in own):
        raise ValueError(f"{form.api.name} asks for tokens, so its form must give a check.")
    return Starlette(
        routes=[
            Route("/ui", lambda request: RedirectResponse("ui/")),
            Mount("/ui", _page(form, service, app.title)),
            Route("/", _Root(app, service)),
            Mount("/", app),
        ]
    )


def _asks_for_token(dependant: Dependant) -> bool:
    return isinstance(dependant.call, SecurityBase) or any(map(_asks_for_token, dependant.dependencies))


def index(names: Sequence[str], ui: str) -> Response:
    """The page that leads to those of several APIs. That of the API `ui` is one of this package."""
    links = "".join(f'<li><a href="{name}/">{name}</a></li>' for name in names)
    return HTMLResponse(_template("index.html").substitute(ui=f"{ui}/ui/", links=links), headers=_HEADERS)


class _Root:
    """What is at `/`."""

    def __init__(self, app: FastAPI, service: Service) -> None:
        self._app, self._service = app, service
        self._is_free = not any(getattr(route, "path", None) == "/" for route in app.routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        if request.method in ("GET", "HEAD") and (self._is_free or asks_for_html(request)):
            await _shown(self._service, self._app.title, "ui/")(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def asks_for_html(request: Request) -> bool:
    """As browsers do, and programs do not."""
    return "text/html" in request.headers.get("accept", "")


def _page(form: HttpForm, service: Service, title: str) -> FastAPI:
    page = FastAPI(openapi_url=None)
    answer_errors(page, service, _error)
    page.include_router(routes(form, service))
    page.mount("/static", GZipMiddleware(_Static(directory=_STATIC)))

    @page.api_route("/", methods=["GET", "HEAD"])
    async def shown() -> Response:
        return _shown(service, title, "")

    return page


def _error(refusal: Refusal) -> dict[str, Any]:
    return {"message": refusal.message} if refusal.error is None else code_and_fields(refusal.error)


class _Static(StaticFiles):
    def file_response(self, *args: Any, **options: Any) -> Response:
        response = super().file_response(*args, **options)
        response.headers.update({name: _HEADERS[name] for name in ("X-Content-Type-Options", "Cache-Control")})
        return response


def _shown(service: Service, title: str, ui: str) -> Response:
    """The page. `ui` leads from its URL to the page's own paths."""
    given = frozenset() if service.served_model is None else frozenset({"model"})  # then there is no choice
    form = json.dumps(fields(service.api.schema.model_json_schema(), without=given)).replace("<", "\\u003c")
    content = _template("page.html").substitute(
        ui=ui, docs="docs" if ui else "../docs", title=html.escape(title), api=service.api.name, fields=form
    )
    return HTMLResponse(content, headers=_HEADERS)


@cache
def _template(name: str) -> Template:
    return Template((_STATIC.parent / name).read_text("utf-8"))
