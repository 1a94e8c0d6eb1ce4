"""What the endpoint knows of its workers: when it last heard from each, what each runs, and what each should stop.

All of it is in memory only. After a restart of the endpoint, a worker that has a job counts as just heard from. Which
jobs it should stop follows from its next heartbeat, which names the jobs that it runs.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import structlog

from videoworker.endpoint.wait_queue import WaitQueue

_log = structlog.get_logger()


@dataclass
class Attempt:
    """One worker's attempt at a job, which is in progress."""

    worker: str
    heard_at: float
    """When the worker last named the job."""
    progress: str | None = None
    """The worker's latest progress as JSON text."""


@dataclass
class Worker:
    """One worker, from its first request until it ends or is silent for too long."""

    heard_at: float
    """When its last request came."""
    jobs_to_stop: set[str] = field(default_factory=set)
    stop_polls: WaitQueue = field(default_factory=WaitQueue)
    """Its requests that wait for a job to stop."""
    is_retired: bool = False
    """Whether it gets no more jobs."""
    is_unhealthy: bool = False
    """Whether it has said that it cannot serve."""


class WorkerRegistry:
    """All workers and all jobs in progress, each by its id."""

    def __init__(self, heartbeat_timeout: float, clock: Callable[[], float]) -> None:
        """`heartbeat_timeout`: seconds of `clock`, which should stand still while the machine sleeps."""
        self.attempts: dict[str, Attempt] = {}
        self.starting: set[str] = set()  # started, and not heard from yet
        self._timeout, self._clock = heartbeat_timeout, clock
        self._workers: dict[str, Worker] = {}

    def heard_from(self, worker_id: str) -> Worker:
        """A request of this worker has come."""
        self.starting.discard(worker_id)
        worker = self._workers.setdefault(worker_id, Worker(self._clock()))
        worker.heard_at = self._clock()
        return worker

    def heartbeat(self, worker_id: str, job_ids: Iterable[str]) -> None:
        """The worker names the jobs that it runs. It keeps those that it was given and should stop the others."""
        self.heard_from(worker_id).is_unhealthy = False
        for job_id in job_ids:
            if self.is_running(worker_id, job_id):
                self.attempts[job_id].heard_at = self._clock()
            else:
                self.stop(worker_id, job_id)

    def unhealthy(self, worker_id: str, reason: str) -> None:
        """The worker says that it cannot serve."""
        _log.warning("worker unhealthy", worker=worker_id, reason=reason)
        self.heard_from(worker_id).is_unhealthy = True

    def assigned(self, worker_id: str, job_ids: Iterable[str]) -> None:
        """The worker was given these jobs."""
        self.attempts |= {job_id: Attempt(worker_id, self._clock()) for job_id in job_ids}

    def is_running(self, worker_id: str, job_id: str) -> bool:
        """Whether the job is in progress with this worker."""
        return job_id in self.attempts and self.attempts[job_id].worker == worker_id

    def jobs_of(self, worker_id: str) -> list[str]:
        return [job_id for job_id, attempt in self.attempts.items() if attempt.worker == worker_id]

    def stop(self, worker_id: str, job_id: str) -> None:
        """Tells the worker to stop the job, in the answer to its present or next request for jobs to stop."""
        worker = self._workers.setdefault(worker_id, Worker(self._clock()))
        worker.jobs_to_stop.add(job_id)
        worker.stop_polls.notify()

    async def jobs_to_stop(self, worker_id: str, seconds: float) -> list[str]:
        """The jobs that the worker should stop. Waits up to `seconds` until there is one."""
        worker = self.heard_from(worker_id)
        until = asyncio.get_running_loop().time() + seconds
        with worker.stop_polls.waiter() as waiter:
            if not (worker.jobs_to_stop or worker.is_retired):
                await waiter.wait(until)
        job_ids, worker.jobs_to_stop = sorted(worker.jobs_to_stop), set()
        return job_ids

    def retire(self, worker_id: str) -> None:
        """The worker gets no more jobs. Its requests for jobs to stop are answered now."""
        worker = self.heard_from(worker_id)
        worker.is_retired = True
        worker.stop_polls.notify_all()

    def end_polls(self) -> None:
        """Answers every request for jobs to stop now."""
        for worker in self._workers.values():
            worker.stop_polls.notify_all()

    def ended(self, worker_id: str) -> None:
        """The worker has ended."""
        self.starting.discard(worker_id)
        self._workers.pop(worker_id, None)

    def silent(self) -> dict[str, list[str]]:
        """Jobs that their worker has not named for too long, by worker. Forgets silent workers that have no job."""
        too_old = self._clock() - self._timeout
        silent: dict[str, list[str]] = {}
        for job_id, attempt in self.attempts.items():
            if attempt.heard_at < too_old:
                silent.setdefault(attempt.worker, []).append(job_id)
        busy = {attempt.worker for attempt in self.attempts.values()}
        for worker_id, worker in list(self._workers.items()):
            if worker.heard_at < too_old and worker_id not in busy:
                del self._workers[worker_id]
        return silent

    def counts(self) -> dict[str, int]:
        """How many workers are in each state, by the names of RunPod's `/health`."""
        busy = {attempt.worker for attempt in self.attempts.values()} & self._workers.keys()
        unhealthy = {worker_id for worker_id, worker in self._workers.items() if worker.is_unhealthy} - busy
        idle = len(self._workers) - len(busy) - len(unhealthy)
        return {
            "idle": idle,
            "initializing": len(self.starting),
            "ready": idle + len(busy),
            "running": len(busy),
            "throttled": 0,
            "unhealthy": len(unhealthy),
        }
