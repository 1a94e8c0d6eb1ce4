"""The whole endpoint in one process: HTTP server, queue and workers, and how they start and end together."""

import asyncio
import signal
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from videoworker.database.database import Database
from videoworker.endpoint.app import make_app
from videoworker.endpoint.queue import Queue
from videoworker.endpoint.settings import EndpointSettings
from videoworker.endpoint.supervisor import Supervisor
from videoworker.endpoint.worker_access import WorkerAccess
from videoworker.http.limits import Limits
from videoworker.http.server import Server

# Clients reuse connections. If the server has closed one, the SDK's first attempt to send a result over it is lost.
_KEEP_ALIVE_SECONDS = 120

_log = structlog.get_logger()


@dataclass(frozen=True)
class Place:
    """Where the endpoint serves: a listening socket, the scheme, host and port by which the workers reach it, and the
    folder that is served."""

    sock: socket.socket
    base_url: str
    files: Path


@dataclass(frozen=True)
class Workers:
    """The workers to run: the command that starts one, and the environment that each of them has.

    Their handler must not block the SDK's event loop: a worker that no longer asks for jobs to stop is killed."""

    command: Sequence[str]
    environments: Sequence[dict[str, str]]


# What else runs in the process. It ends soon after the event is set.
Beside = Callable[[asyncio.Event], Awaitable[None]]


def serve(place: Place, workers: Workers, settings: EndpointSettings, beside: Beside | None = None) -> None:
    """Serves until SIGTERM or SIGINT. Then it lets the workers finish their jobs. A second signal ends them at once.

    `beside` runs until then, and is told to end before the endpoint does. If it ends earlier, everything does. Raises
    what it raises, `DatabaseInUseError`, `OSError`, and SQLAlchemy's errors if the database cannot be reached.
    """
    # Accepted connections inherit the option. asyncio sets it only if the socket names its protocol, and this one may
    # not.
    place.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    database = Database(settings.database_url.get_secret_value(), "endpoint")
    try:
        queue = Queue(database, settings)
        token = settings.worker_token
        access = WorkerAccess(token.get_secret_value() if token else None)
        app, limits = make_app(queue, settings, access, place.files), Limits(idle_seconds=_KEEP_ALIVE_SECONDS)
        server = Server(app, limits)
        wiring = wire(f"{place.base_url}/v2/{settings.endpoint_id}", settings)
        supervisor = Supervisor(workers.command, [wiring | one for one in workers.environments], queue, access)
        asyncio.run(_run(server, place.sock, queue, supervisor, beside or _nothing))
    finally:
        database.close()


async def _nothing(ending: asyncio.Event) -> None:
    await ending.wait()


async def _run(server: Server, sock: socket.socket, queue: Queue, supervisor: Supervisor, beside: Beside) -> None:
    first, second, ending = asyncio.Event(), asyncio.Event(), asyncio.Event()

    def signalled() -> None:
        (second if first.is_set() else first).set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, signalled)

    await queue.open()
    serving = asyncio.create_task(server.serve([sock]))
    supervising = asyncio.create_task(supervisor.run())
    serving_beside = asyncio.ensure_future(beside(ending))
    # Without workers the supervisor is done at once, which is no reason to end.
    working = [supervising] if supervisor.has_workers else []
    await _first_of(serving, serving_beside, asyncio.create_task(first.wait()), *working)
    _log.info("ending", workers="finish their jobs; a second signal ends them at once")
    supervisor.finish()
    await _first_of(supervising, asyncio.create_task(second.wait()), serving)
    supervising.cancel()
    await asyncio.wait({supervising})
    ending.set()
    await asyncio.wait({serving_beside})
    queue.close()
    server.should_exit = True
    await serving
    if not supervising.cancelled():
        supervising.result()
    serving_beside.result()


def wire(url: str, settings: EndpointSettings) -> dict[str, str]:
    """The environment that RunPod sets for a worker, with the URLs of the endpoint at `url`.

    Not among it are a worker's id (`RUNPOD_POD_ID`) and token (`RUNPOD_AI_API_KEY`), which are its own. The SDK
    replaces `$ID` and `$RUNPOD_POD_ID`. It adds parameters with `&`, so each URL must hold a `?`.
    """
    return {
        "RUNPOD_WEBHOOK_GET_JOB": f"{url}/job-take/$ID?sdk",
        "RUNPOD_WEBHOOK_POST_OUTPUT": f"{url}/job-done/$RUNPOD_POD_ID/$ID?sdk",
        "RUNPOD_WEBHOOK_POST_STREAM": f"{url}/job-stream/$RUNPOD_POD_ID/$ID?sdk",
        "RUNPOD_WEBHOOK_PING": f"{url}/ping/$RUNPOD_POD_ID?sdk",
        "RUNPOD_PING_INTERVAL": str(1000 * int(settings.heartbeat_timeout_seconds // 3)),
        "RUNPOD_ENDPOINT_ID": settings.endpoint_id,
        "RUNPOD_LOG_LEVEL": "INFO",
        # The SDK's own checks need the internet and a tenth of the disk free.
        "RUNPOD_SKIP_AUTO_SYSTEM_CHECKS": "true",
        "RUNPOD_SKIP_GPU_CHECK": "true",
    }


async def _first_of(*tasks: asyncio.Future[Any]) -> None:
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
