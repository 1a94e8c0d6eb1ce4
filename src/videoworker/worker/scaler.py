"""The SDK's job loop, with an end in which no job is lost.

When the process is told to end, the SDK leaves its poll for jobs open, for up to 90 seconds. An idle worker stays for
so long. A job that comes through the poll is taken and never run.

Here the poll is closed first. A job that has come through it is run like any other. Stop signals are heard until the
last result is posted. Then the process ends. If a job is on its way here when the poll is closed, the platform gives it
to another worker, as it does if a worker dies.
"""

import asyncio
from typing import Any

import structlog
from runpod.http_client import AsyncClientSession
from runpod.serverless.modules import rp_scale

_log = structlog.get_logger()


class Scaler(rp_scale.JobScaler):  # type: ignore[misc]
    """Ends on SIGTERM and SIGINT. Also ends after a job, if `refresh_worker` in the configuration is true by then."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__(config)
        self._leaving = asyncio.Event()

    def kill_worker(self) -> None:
        """The SDK calls it when the process should end, also from a signal handler."""
        self._leaving.set()

    async def run(self) -> None:
        """Takes and runs jobs until `kill_worker` is called and the last of them is done."""
        async with AsyncClientSession() as session, asyncio.TaskGroup() as group:
            taking = group.create_task(self.get_jobs(session))
            running = group.create_task(self.run_jobs(session))
            listening = group.create_task(self.monitor_stop_signals(session))
            await self._leaving.wait()
            _log.info("leaving", jobs=self.current_occupancy())
            while not taking.done():
                await asyncio.wait([taking], timeout=0.1)  # a job that has arrived already is read
                taking.cancel()  # more than once: if a job arrives just then, the SDK takes it and goes on
            await self.jobs_queue.join()
            self._shutdown_event.set()  # ends the SDK's loops
            await asyncio.wait([running])
            listening.cancel()


def install() -> None:
    """Makes the SDK use this loop. To be called before `runpod.serverless.start`."""
    rp_scale.JobScaler = Scaler
