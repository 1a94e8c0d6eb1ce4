"""The gateway as an ASGI application: its APIs, the endpoint's webhooks, and the tasks that run beside requests."""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ValidationError

from videoworker.gateway import jobs
from videoworker.gateway.apis.form import HttpForm
from videoworker.gateway.page.app import asks_for_html, index, with_page
from videoworker.gateway.service import Core, Service
from videoworker.http.body import limited_body

_WEBHOOK_BYTES = 20_000_000  # RunPod's limit of a job's answer, which a webhook has in it
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")


class _Webhook(BaseModel):
    """What is read of RunPod's webhook: its id of the job. The rest is asked for."""

    id: str


def make_app(core: Core, forms: Sequence[HttpForm]) -> FastAPI:
    """The application. Open the core's follower before it serves.

    One API has its document's paths. Several have them under `/<name>/` each, and are listed at `/`.
    """

    services = [Service(core, form.api) for form in forms]
    apps = [form.app(service) for form, service in zip(forms, services, strict=True)]
    served = [
        with_page(form, service, app) if form.has_page else app
        for form, service, app in zip(forms, services, apps, strict=True)
    ]

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        following = asyncio.create_task(core.follower.run())
        try:
            async with AsyncExitStack() as stack:
                for one in apps:  # a mounted application's own is not run
                    await stack.enter_async_context(one.router.lifespan_context(one))
                yield
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)

    app = FastAPI(title="Video APIs", lifespan=lifespan, openapi_url=None)

    @app.post("/webhooks/{token}")
    async def webhook(token: str, request: Request) -> Response:
        """Nothing in it is believed but the id, and only from who knows the token: the endpoint."""
        job = await core.database.read(partial(jobs.find_by_token, token=token)) if _TOKEN.fullmatch(token) else None
        if job is None:
            return Response(status_code=404)
        try:
            told = _Webhook.model_validate_json(await limited_body(request, _WEBHOOK_BYTES))
        except ValidationError:
            return Response(status_code=400)
        await core.follower.announced(job, told.id)
        return Response()

    @app.api_route("/ping", methods=["GET", "HEAD"])
    async def ping() -> Response:
        """What RunPod's load balancer asks: 200 means that requests may come, 204 that it should ask again."""
        return Response(status_code=204 if await core.is_starting() else 200)

    if len(forms) == 1:
        app.mount("/", served[0])
        return app

    @app.api_route("/", methods=["GET", "HEAD"])
    async def listed(request: Request) -> Response:
        if asks_for_html(request):
            return index([form.api.name for form in forms], next(form.api.name for form in forms if form.has_page))
        return JSONResponse({"apis": {form.api.name: f"/{form.api.name}/" for form in forms}})

    for form, one in zip(forms, served, strict=True):
        app.mount(f"/{form.api.name}", one)
    return app
