"""The gateway in a process: what it opens, and how it starts and ends."""

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from sqlalchemy.exc import SQLAlchemyError

from videoworker.database.database import Database, DatabaseInUseError
from videoworker.database.faults import why_not_opened
from videoworker.gateway import bucket
from videoworker.gateway.endpoint import Endpoint
from videoworker.gateway.follower import Follower
from videoworker.gateway.health import HealthWatch
from videoworker.gateway.service import Core
from videoworker.gateway.settings import GatewaySettings
from videoworker.gateway.videos import Videos
from videoworker.http.limits import Limits
from videoworker.http.listening import CannotStartError
from videoworker.http.server import Server
from videoworker.settings import Settings


async def serve(sockets: Sequence[socket.socket], app: FastAPI, core: Core, ending: asyncio.Event) -> None:
    """Serves the core's application on the listening sockets until `ending` is set."""
    server = Server(app, Limits(), core.settings.forwarded_allow_ips or "")
    serving = asyncio.create_task(server.serve(list(sockets)))
    ended = asyncio.create_task(ending.wait())
    await asyncio.wait({serving, ended}, return_when=asyncio.FIRST_COMPLETED)
    core.ending.set()
    server.should_exit = True
    ended.cancel()
    await serving


@asynccontextmanager
async def opened(settings: GatewaySettings, worker: Settings, served: Path | None = None) -> AsyncIterator[Core]:
    """What a gateway's APIs share, closed at the end of the block.

    `worker`: the bucket's variables. `served`: the folder that the endpoint serves, if that is in this process and the
    gateway's alone. Raises `CannotStartError`, and `JobError` if the bucket cannot be used.
    """
    database = _database(settings)
    try:
        endpoint, videos = Endpoint(settings), await _videos(settings, worker, served)
        follower = Follower(database, endpoint, videos, settings)
        health = HealthWatch(endpoint, settings.probe_seconds)
        await follower.open()
        try:
            yield Core(settings, database, follower, videos, health, served is not None, served_model=worker.model)
        finally:
            await health.close()
            await endpoint.close()
            await videos.close()
    finally:
        database.close()


def _database(settings: GatewaySettings) -> Database:
    try:
        return Database(settings.gateway_database_url.get_secret_value(), "gateway")
    except DatabaseInUseError as error:
        raise CannotStartError(str(error)) from error
    except (SQLAlchemyError, OSError) as error:
        raise CannotStartError(f"GATEWAY_DATABASE_URL: {why_not_opened(error)}") from error


async def _videos(settings: GatewaySettings, worker: Settings, served: Path | None) -> Videos:
    kept_in = await asyncio.to_thread(bucket.from_settings, worker)
    try:
        return Videos(settings.gateway_folder, kept_in, served)
    except OSError as error:
        raise CannotStartError(f"GATEWAY_FOLDER: {error.strerror}") from error
