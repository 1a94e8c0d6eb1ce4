"""Keeps worker processes running beside the endpoint: starts them, replaces those that end, and lets them finish.

Each process has a worker id of its own. So a late request of one process is never taken for one of its successor.
"""

import asyncio
import os
import secrets
import signal
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

import structlog
from tenacity import AsyncRetrying, retry_if_exception_type, wait_exponential

from videoworker.endpoint.process import guarded
from videoworker.endpoint.queue import Queue
from videoworker.endpoint.settings import EndpointSettings
from videoworker.endpoint.worker_access import WorkerAccess

# The pause before a worker that ended soon is started again, in seconds. It doubles each time. It begins anew once a
# worker has run for as long as the longest pause.
_BACKOFF = wait_exponential(multiplier=1, min=1, max=60)
_STABLE_SECONDS = 60.0

_log = structlog.get_logger()


class _EndedError(Exception):
    """A worker's process ended soon after its start."""


class Supervisor:
    """Runs one worker for each of `environments`, which are added to this process's environment."""

    def __init__(
        self,
        command: Sequence[str],
        environments: Sequence[Mapping[str, str]],
        queue: Queue,
        access: WorkerAccess,
    ) -> None:
        self._command, self._environments, self._queue, self._access = command, environments, queue, access
        self._processes: dict[str, asyncio.subprocess.Process] = {}
        self._killed: set[str] = set()  # they may take a moment to end
        self._finishing = asyncio.Event()
        queue.on_replacement_request = self._finish_one
        queue.on_failure = self._kill

    @property
    def has_workers(self) -> bool:
        return bool(self._environments)

    async def run(self) -> None:
        """Returns once `finish` has been called and all workers have ended. If it is cancelled, it kills them."""
        async with asyncio.TaskGroup() as group:
            for index, environment in enumerate(self._environments):
                group.create_task(self._keep(f"worker-{index}", environment))

    def finish(self) -> None:
        """Tells every worker to end after the job that it runs. Starts no more."""
        self._finishing.set()
        for worker_id in self._processes:
            self._finish_one(worker_id)

    def _finish_one(self, worker_id: str) -> None:
        """Tells the worker to end after the job that it runs. One that was not started here ends without being told."""
        self._queue.retire(worker_id)
        if (process := self._processes.get(worker_id)) is not None:
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)

    def _kill(self, worker_id: str, reason: str) -> bool:
        """Kills a worker that is silent or hangs. Returns False if it is not one of ours.

        A stopped or stuck process could wake up later and deliver a job that another worker does by then. The rest of
        its group is killed once it has ended.
        """
        process = self._processes.get(worker_id)
        if process is None:
            return False
        if worker_id not in self._killed:
            _log.warning("worker killed", worker=worker_id, reason=reason)
            self._killed.add(worker_id)
        with suppress(ProcessLookupError):
            process.kill()
        return True

    async def _keep(self, name: str, environment: Mapping[str, str]) -> None:
        backoff = AsyncRetrying(wait=_BACKOFF, retry=retry_if_exception_type(_EndedError), sleep=self._pause)
        while not self._finishing.is_set():
            async for attempt in backoff.copy():
                with attempt:
                    if not self._finishing.is_set():
                        await self._run(name, environment)

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._finishing.wait(), seconds)

    async def _run(self, name: str, environment: Mapping[str, str]) -> None:
        """Runs one process until it ends. Raises `_EndedError` if there must be a pause before the next."""
        worker_id = f"{name}-{secrets.token_hex(4)}"
        started_at = time.monotonic()
        workers = self._queue.workers
        workers.started(worker_id)
        own = {"RUNPOD_POD_ID": worker_id, "RUNPOD_AI_API_KEY": self._access.admit(worker_id)}
        try:
            async with guarded(self._command, {**_inherited(), **environment, **own}) as process:
                self._processes[worker_id] = process
                _log.info("worker started", worker=worker_id, pid=process.pid)
                if self._finishing.is_set():
                    self._finish_one(worker_id)
                code = await process.wait()
        finally:
            self._processes.pop(worker_id, None)
            self._killed.discard(worker_id)
            self._access.dismiss(worker_id)
            is_retired = workers.is_retired(worker_id)
            await self._queue.worker_ended(worker_id)
        _log.info("worker ended", worker=worker_id, code=code)
        if not is_retired and time.monotonic() - started_at < _STABLE_SECONDS:
            raise _EndedError


def _inherited() -> dict[str, str]:
    """This process's environment without what only the endpoint reads: API keys, the database's password and others."""
    return {name: value for name, value in os.environ.items() if name.lower() not in EndpointSettings.model_fields}
