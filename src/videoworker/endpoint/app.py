"""The endpoint as an ASGI application: its routes, its files, its errors, and what runs beside the requests."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles
from sqlalchemy.exc import InterfaceError, OperationalError
from starlette.exceptions import HTTPException

from videoworker.endpoint import callers, polls
from videoworker.endpoint.access import Access
from videoworker.endpoint.queue import Queue
from videoworker.endpoint.settings import EndpointSettings
from videoworker.endpoint.webhooks import Webhooks


def make_app(queue: Queue, settings: EndpointSettings, access: Access, files: Path) -> FastAPI:
    """`queue` is opened by the caller, then. `files`: a folder whose files, for who knows their names, are `/files`."""
    webhooks = Webhooks(queue, settings)
    queue.on_final = webhooks.send

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        clock = asyncio.create_task(queue.keep_time())
        try:
            yield
        finally:
            clock.cancel()
            await webhooks.close()

    app = FastAPI(title="RunPod's job API on one machine", lifespan=lifespan)
    prefix = f"/v2/{settings.endpoint_id}"
    app.include_router(callers.routes(queue, settings), prefix=prefix, dependencies=[Depends(access.caller)])
    app.include_router(
        polls.routes(queue), prefix=prefix, dependencies=[Depends(access.worker)], include_in_schema=False
    )
    app.mount("/files", StaticFiles(directory=files, check_dir=False))

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> JSONResponse:
        return JSONResponse({"error": error.detail}, error.status_code, error.headers)

    @app.exception_handler(RequestValidationError)
    async def wrong_parameter(request: Request, error: RequestValidationError) -> JSONResponse:
        words = (
            f"{wrong['loc'][-1]}: {wrong['msg']} (given: {str(wrong['input'])[:100]!r})" for wrong in error.errors()
        )
        return JSONResponse({"error": "; ".join(words)}, 400)

    @app.exception_handler(OperationalError)
    @app.exception_handler(InterfaceError)
    async def database_away(request: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"error": "The jobs' database cannot be reached."}, 503)

    return app
