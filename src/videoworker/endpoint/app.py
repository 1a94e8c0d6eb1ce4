"""The endpoint as an ASGI application: its routes, its files, its errors, and the tasks that run beside requests."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles
from sqlalchemy.exc import DBAPIError
from starlette.exceptions import HTTPException

from videoworker.database.faults import DatabaseReplacedError
from videoworker.endpoint import caller_routes, video_links, worker_routes
from videoworker.endpoint.queue import Queue, QueueFullError
from videoworker.endpoint.settings import EndpointSettings
from videoworker.endpoint.webhooks import Webhooks
from videoworker.endpoint.worker_access import WorkerAccess
from videoworker.endpoint.worker_registry import WorkerHangsError
from videoworker.http.caller_access import CallerAccess
from videoworker.http.guard import Guard

# The id under which RunPod's Hub calls a Pod of a listing.
_POD = "LOCAL"


def make_app(queue: Queue, settings: EndpointSettings, workers: WorkerAccess, files: Path) -> FastAPI:
    """The application. It sets the queue's `on_final`, so open the queue after this call.

    `files`: the folder that is served as `/files`, without a list of its files. Whatever is neither a worker's route
    nor a video's link is for callers alone, the files and the documents among it.
    """
    callers = CallerAccess(settings.keys)
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
    callers_routes = caller_routes.routes(queue, settings)
    app.include_router(callers_routes, prefix=prefix)
    if settings.endpoint_id != _POD:
        app.include_router(callers_routes, prefix=f"/v2/{_POD}", include_in_schema=False)
    app.include_router(
        worker_routes.routes(queue), prefix=prefix, dependencies=[Depends(workers.check)], include_in_schema=False
    )
    served = StaticFiles(directory=files, check_dir=False)
    app.mount("/files", served)
    # Workers' routes check for themselves, once their paths are taken apart. A link is open to whoever has it.
    exempt = [f"{prefix}/{operation}/" for operation in worker_routes.OPERATIONS]
    if settings.keys:
        links = f"{video_links.path(settings.keys)}/files"
        app.mount(links, served)
        exempt.append(f"{links}/")
    app.add_middleware(Guard, check=callers.check, exempt=tuple(exempt))

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> JSONResponse:
        return JSONResponse({"error": error.detail}, error.status_code, error.headers)

    @app.exception_handler(RequestValidationError)
    async def invalid_parameter(request: Request, error: RequestValidationError) -> JSONResponse:
        problems = (
            f"{problem['loc'][-1]}: {problem['msg']} (given: {str(problem['input'])[:100]!r})"
            for problem in error.errors()
        )
        return JSONResponse({"error": "; ".join(problems)}, 400)

    @app.exception_handler(DBAPIError)
    async def database_fault(request: Request, error: DBAPIError) -> JSONResponse:
        queue.faults.tell(error)
        return JSONResponse({"error": "The jobs' database cannot be used now."}, 503)

    @app.exception_handler(DatabaseReplacedError)
    async def database_replaced(request: Request, error: DatabaseReplacedError) -> JSONResponse:
        queue.faults.tell(error)
        return JSONResponse({"error": str(error)}, 503)

    @app.exception_handler(QueueFullError)
    async def queue_full(request: Request, error: QueueFullError) -> JSONResponse:
        most = f"at most {settings.max_queued_bytes} bytes (MAX_QUEUED_BYTES)"
        return JSONResponse({"error": f"The jobs that wait may hold {most}. Submit this one later."}, 429)

    @app.exception_handler(WorkerHangsError)
    async def worker_hangs(request: Request, error: WorkerHangsError) -> JSONResponse:
        return JSONResponse({"error": "The worker still runs a job that is over. It gets no other."}, 429)

    return app
