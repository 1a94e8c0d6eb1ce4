"""What the endpoint knows of its workers: when each was last heard of, what it runs, and what it is told to stop.

Kept in memory only. After a restart of the endpoint every worker that has a job is taken to have been heard of just
then, and what it should stop follows from the jobs that its next heartbeat names.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import structlog

from videoworker.endpoint.bell import Bell

_log = structlog.get_logger()


@dataclass
class Running:
    """A job in progress. `progress` is the worker's latest word on it: JSON."""

    worker: str
    heard_at: float
    progress: str | None = None


@dataclass
class Worker:
    """`is_leaving`: it gets no more jobs."""

    heard_at: float
    stops: set[str] = field(default_factory=set)
    has_stops: Bell = field(default_factory=Bell)
    is_leaving: bool = False
    is_unhealthy: bool = False


class Workers:
    """All workers by their id, and all jobs in progress by theirs."""

    def __init__(self, heartbeat_timeout: float, clock: Callable[[], float]) -> None:
        """`heartbeat_timeout`: seconds, by `clock`, which stands still while the machine sleeps."""
        self.running: dict[str, Running] = {}
        self.expected: set[str] = set()  # started, not yet heard of
        self._timeout, self._clock = heartbeat_timeout, clock
        self._workers: dict[str, Worker] = {}

    def heard_of(self, worker_id: str) -> Worker:
        """A request of this worker has come in."""
        self.expected.discard(worker_id)
        worker = self._workers.setdefault(worker_id, Worker(self._clock()))
        worker.heard_at = self._clock()
        return worker

    def heartbeat(self, worker_id: str, job_ids: Iterable[str]) -> None:
        """The worker names the jobs that it runs: those that are its own live on, the others it should stop."""
        self.heard_of(worker_id).is_unhealthy = False
        for job_id in job_ids:
            running = self.running.get(job_id)
            if running is not None and running.worker == worker_id:
                running.heard_at = self._clock()
            else:
                self.stop(worker_id, job_id)

    def unhealthy(self, worker_id: str, reason: str) -> None:
        """The worker says that it cannot serve."""
        _log.warning("worker unhealthy", worker=worker_id, reason=reason)
        self.heard_of(worker_id).is_unhealthy = True

    def started(self, worker_id: str, job_ids: Iterable[str]) -> None:
        self.running |= {job_id: Running(worker_id, self._clock()) for job_id in job_ids}

    def has(self, worker_id: str, job_id: str) -> bool:
        """Whether the job is in progress, with this worker."""
        return job_id in self.running and self.running[job_id].worker == worker_id

    def jobs_of(self, worker_id: str) -> list[str]:
        return [job_id for job_id, running in self.running.items() if running.worker == worker_id]

    def stop(self, worker_id: str, job_id: str) -> None:
        """Tells the worker, at its next or present poll, to stop the job."""
        worker = self._workers.setdefault(worker_id, Worker(self._clock()))
        worker.stops.add(job_id)
        worker.has_stops.ring()

    async def stops(self, worker_id: str, seconds: float) -> list[str]:
        """What the worker should stop, as soon as there is something, at the latest after so many seconds."""
        worker = self.heard_of(worker_id)
        until = asyncio.get_running_loop().time() + seconds
        with worker.has_stops.listening() as ear:
            if not (worker.stops or worker.is_leaving):
                await ear.wait(until)
        stops, worker.stops = sorted(worker.stops), set()
        return stops

    def leaving(self, worker_id: str) -> None:
        """This worker gets no more jobs, and its polls end now."""
        worker = self.heard_of(worker_id)
        worker.is_leaving = True
        worker.has_stops.ring_all()

    def end_polls(self) -> None:
        for worker in self._workers.values():
            worker.has_stops.ring_all()

    def gone(self, worker_id: str) -> None:
        self.expected.discard(worker_id)
        self._workers.pop(worker_id, None)

    def lost(self) -> dict[str, list[str]]:
        """Jobs that no heartbeat has named for too long, by worker. Forgets workers that are silent and have none."""
        too_old = self._clock() - self._timeout
        lost: dict[str, list[str]] = {}
        for job_id, running in self.running.items():
            if running.heard_at < too_old:
                lost.setdefault(running.worker, []).append(job_id)
        busy = {running.worker for running in self.running.values()}
        for worker_id, worker in list(self._workers.items()):
            if worker.heard_at < too_old and worker_id not in busy:
                del self._workers[worker_id]
        return lost

    def counts(self) -> dict[str, int]:
        """By RunPod's names."""
        busy = {running.worker for running in self.running.values()} & self._workers.keys()
        unhealthy = {worker_id for worker_id, worker in self._workers.items() if worker.is_unhealthy} - busy
        idle = len(self._workers) - len(busy) - len(unhealthy)
        return {
            "idle": idle,
            "initializing": len(self.expected),
            "ready": idle + len(busy),
            "running": len(busy),
            "throttled": 0,
            "unhealthy": len(unhealthy),
        }
