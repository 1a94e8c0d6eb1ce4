"""The whole endpoint in one process: the HTTP server, the jobs, the workers, and how they begin and end together."""

import asyncio
import contextlib
import secrets
import signal
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog
import uvicorn

from videoworker.endpoint.access import Access
from videoworker.endpoint.app import make_app
from videoworker.endpoint.database import Database
from videoworker.endpoint.queue import Queue
from videoworker.endpoint.settings import EndpointSettings
from videoworker.endpoint.supervisor import Supervisor

# Clients keep connections; the SDK's loses a result's first attempt where the server has closed one meanwhile.
_KEEP_ALIVE_SECONDS = 120
_LAST_ANSWERS_SECONDS = 5

_log = structlog.get_logger()


@dataclass(frozen=True)
class Workers:
    """What a worker is: the command that starts it, and the environment of each."""

    command: Sequence[str]
    environments: Sequence[dict[str, str]]


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are `serve`'s: the workers finish first."""
        yield


def serve(sock: socket.socket, base_url: str, workers: Workers, files: Path, settings: EndpointSettings) -> None:
    """Serves on the listening socket until SIGTERM or SIGINT, then lets the workers finish their jobs; a second signal
    ends them at once. `base_url`: of this endpoint, as the workers reach it. Raises `DatabaseInUseError`, and
    SQLAlchemy's errors where the database cannot be reached."""
    # what is accepted inherits it; asyncio sets it only on sockets that name their protocol
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    database = Database(settings.database_url.get_secret_value())
    try:
        asyncio.run(_serve(database, sock, base_url, workers, files, settings))
    finally:
        database.close()


async def _serve(
    database: Database, sock: socket.socket, base_url: str, workers: Workers, files: Path, settings: EndpointSettings
) -> None:
    queue = Queue(database, settings)
    access = Access(settings.keys, secrets.token_urlsafe(16))
    config = uvicorn.Config(
        make_app(queue, settings, access, files),
        log_config=None,
        access_log=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_LAST_ANSWERS_SECONDS,
    )
    server = _Server(config)
    given = wire(f"{base_url}/v2/{settings.endpoint_id}", access.worker_token, settings)
    supervisor = Supervisor(workers.command, [given | one for one in workers.environments], queue)

    first, second = asyncio.Event(), asyncio.Event()

    def interrupted() -> None:
        (second if first.is_set() else first).set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, interrupted)

    await queue.open()
    serving = asyncio.create_task(server.serve([sock]))
    supervising = asyncio.create_task(supervisor.run())
    await _first_of(serving, asyncio.create_task(first.wait()), *([supervising] if workers.environments else []))
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


def wire(url: str, token: str, settings: EndpointSettings) -> dict[str, str]:
    """What RunPod sets for a worker, pointed at the endpoint at `url`. The SDK replaces `$ID` and `$RUNPOD_POD_ID`, and
    goes on with `&`."""
    return {
        "RUNPOD_WEBHOOK_GET_JOB": f"{url}/job-take/$ID?token={token}",
        "RUNPOD_WEBHOOK_POST_OUTPUT": f"{url}/job-done/$RUNPOD_POD_ID/$ID?token={token}",
        "RUNPOD_WEBHOOK_POST_STREAM": f"{url}/job-stream/$RUNPOD_POD_ID/$ID?token={token}",
        "RUNPOD_WEBHOOK_PING": f"{url}/ping/$RUNPOD_POD_ID?token={token}",
        "RUNPOD_PING_INTERVAL": str(1000 * int(settings.heartbeat_timeout_seconds // 3)),
        "RUNPOD_AI_API_KEY": token,
        "RUNPOD_ENDPOINT_ID": settings.endpoint_id,
        "RUNPOD_LOG_LEVEL": "INFO",
        # the SDK's own checks want a way to the internet, and a tenth of the disk free
        "RUNPOD_SKIP_AUTO_SYSTEM_CHECKS": "true",
        "RUNPOD_SKIP_GPU_CHECK": "true",
    }


async def _first_of(*tasks: asyncio.Task[object]) -> None:
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
