"""The SDK's job loop, with an end in which nothing is lost.

As the SDK ends: a poll for a job that is open when the process is told to end stays open, a job that comes through it
is taken and never run, and an idle worker stays for as long as its polls are held, up to 90 seconds. Here the poll for
jobs is hung up first; what had come through it is run like any other job; stop signals are heard until the last result
is posted; then the process ends. A job that crosses the hang-up on its way here is the platform's to give to another
worker, like that of a worker that died.
"""

import asyncio
from typing import Any

import structlog
from runpod.http_client import AsyncClientSession
from runpod.serverless.modules import rp_scale

_log = structlog.get_logger()


class Scaler(rp_scale.JobScaler):  # type: ignore[misc]
    """Ends on SIGTERM and SIGINT, and after a job once the configuration holds a true `refresh_worker`."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__(config)
        self._leaving = asyncio.Event()

    def kill_worker(self) -> None:
        """What the SDK calls when the process should end, from a signal handler too."""
        self._leaving.set()

    async def run(self) -> None:
        """Takes and runs jobs until `kill_worker`, then until the last of them is done."""
        async with AsyncClientSession() as session, asyncio.TaskGroup() as group:
            taking = group.create_task(self.get_jobs(session))
            running = group.create_task(self.run_jobs(session))
            listening = group.create_task(self.monitor_stop_signals(session))
            await self._leaving.wait()
            _log.info("leaving", jobs=self.current_occupancy())
            while not taking.done():
                await asyncio.wait([taking], timeout=0.1)  # what has already arrived is read
                taking.cancel()  # more than once: where it meets an arriving job, the SDK keeps the job and goes on
            await self.jobs_queue.join()
            self._shutdown_event.set()  # ends the SDK's loops
            await asyncio.wait([running])
            listening.cancel()


def install() -> None:
    """Makes the SDK use it; to be called before `runpod.serverless.start`."""
    rp_scale.JobScaler = Scaler
