"""The whole endpoint in one process: HTTP server, queue and workers, and how they start and end together."""

import asyncio
import contextlib
import signal
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

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
class Workers:
    """The workers to run: the command that starts one, and the environment that each of them has.

    Their handler must not block the SDK's event loop: a worker that no longer asks for jobs to stop is killed."""

    command: Sequence[str]
    environments: Sequence[dict[str, str]]


class _Server(Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leaves the signals to `_run`, since the workers must finish before the server ends."""
        yield


def serve(sock: socket.socket, base_url: str, workers: Workers, files: Path, settings: EndpointSettings) -> None:
    """Serves on the listening socket until SIGTERM or SIGINT. Then it lets the workers finish their jobs. A second
    signal ends them at once.

    `base_url`: scheme, host and port by which the workers reach this endpoint. `files`: the folder that is served.
    Raises `DatabaseInUseError`, `OSError`, and SQLAlchemy's errors if the database cannot be reached.
    """
    # Accepted connections inherit the option. asyncio sets it only if the socket names its protocol, and this one may
    # not.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    database = Database(settings.database_url.get_secret_value(), "endpoint")
    try:
        queue = Queue(database, settings)
        token = settings.worker_token
        access = WorkerAccess(token.get_secret_value() if token else None)
        server = _Server(make_app(queue, settings, access, files), Limits(idle_seconds=_KEEP_ALIVE_SECONDS))
        wiring = wire(f"{base_url}/v2/{settings.endpoint_id}", settings)
        supervisor = Supervisor(workers.command, [wiring | one for one in workers.environments], queue, access)
        asyncio.run(_run(server, sock, queue, supervisor))
    finally:
        database.close()


async def _run(server: _Server, sock: socket.socket, queue: Queue, supervisor: Supervisor) -> None:
    first, second = asyncio.Event(), asyncio.Event()

    def signalled() -> None:
        (second if first.is_set() else first).set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, signalled)

    await queue.open()
    serving = asyncio.create_task(server.serve([sock]))
    supervising = asyncio.create_task(supervisor.run())
    # Without workers the supervisor is done at once, which is no reason to end.
    await _first_of(serving, asyncio.create_task(first.wait()), *([supervising] if supervisor.has_workers else []))
    _log.info("ending", workers="finish their jobs; a second signal ends them at once")
    supervisor.finish()
    await _first_of(supervising, asyncio.create_task(second.wait()), serving)
    supervising.cancel()
    await asyncio.wait({supervising})
    queue.close()
    server.should_exit = True
    await serving
    if not supervising.cancelled():
        supervising.result()


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


async def _first_of(*tasks: asyncio.Task[object]) -> None:
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
