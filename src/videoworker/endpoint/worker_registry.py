"""What the endpoint knows of its workers: when it last heard from each, what each runs, and what each should stop.

All of it is in memory only. After a restart of the endpoint, a worker that has a job counts as just heard from. Which
jobs it should stop follows from its next heartbeat, which names the jobs that it runs.

A worker's heartbeat comes from a process of its own. It goes on if the worker hangs, and names the jobs that the worker
had by then. So a worker is judged by what it does as well:

- While it has a job, its heartbeats must name the job. One that was started here must ask for jobs to stop as well. One
  of somebody else may ask for nothing: its handler may block the loop that asks.
- When a job is over, it must stop naming it, in time.
- When it has no job, it must ask for one, in time. If it was told to end, it must end.

A worker is not judged before its first request: it may load weights for as long as it takes.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Set
from contextlib import contextmanager
from dataclasses import dataclass, field

import structlog

from videoworker.endpoint.settings import EndpointSettings
from videoworker.endpoint.wait_queue import WaitQueue

_log = structlog.get_logger()


class WorkerHangsError(Exception):
    """The worker still names a job that it should have stopped long ago. It gets no more."""


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
    idle_since: float
    """When its last request for a job or its last job was over, or when it was told to end."""
    jobs_to_stop: set[str] = field(default_factory=set)
    """Those that it has not been told yet."""
    stop_polls: WaitQueue = field(default_factory=WaitQueue)
    """Its requests that wait for a job to stop."""
    listened_at: float = 0.0
    """When its last request for jobs to stop came or was over."""
    open_stop_polls: int = 0
    overdue: dict[str, float] = field(default_factory=dict)
    """The jobs that it may still run although it should not, and since when it should not."""
    named_overdue: float = 0.0
    """For how long it should not have run a job that its last heartbeat named, in seconds."""
    open_polls: int = 0
    """Its requests for jobs that wait."""
    has_polled: bool = False
    """Whether it has asked for a job."""
    is_retired: bool = False
    """Whether it was told to end. It gets no more jobs."""
    is_unhealthy: bool = False
    """Whether it has said that it cannot serve."""
    is_given_up: bool = False
    """Whether it hangs, and nobody here can end it."""

    def runs_only(self, job_ids: Set[str]) -> None:
        """It runs no jobs but these, or not even these."""
        self.overdue = {job_id: since for job_id, since in self.overdue.items() if job_id in job_ids}
        if not self.overdue:
            self.named_overdue = 0.0


@dataclass(frozen=True)
class Failure:
    """A worker that no longer does what it should, why it is thought so, and the jobs that it has lost by that."""

    worker: str
    reason: str
    jobs: list[str]


class WorkerRegistry:
    """All workers and all jobs in progress, each by its id."""

    def __init__(self, settings: EndpointSettings, clock: Callable[[], float]) -> None:
        """`clock`: seconds. It should stand still while the machine sleeps."""
        self.attempts: dict[str, Attempt] = {}
        self.starting: set[str] = set()  # started here, and have not asked for a job yet
        self._own: set[str] = set()  # started here
        self._heartbeat_timeout, self._hang_timeout = settings.heartbeat_timeout_seconds, settings.hang_timeout_seconds
        self._clock = clock
        self._workers: dict[str, Worker] = {}

    def started(self, worker_id: str) -> None:
        """The worker's process was started here. Its handler does not block the loop that asks for jobs to stop."""
        self.starting.add(worker_id)
        self._own.add(worker_id)

    def heard_from(self, worker_id: str) -> Worker:
        """A request of this worker has come."""
        now = self._clock()
        worker = self._workers.setdefault(worker_id, Worker(now, idle_since=now, listened_at=now))
        worker.heard_at = now
        return worker

    @contextmanager
    def polling(self, worker_id: str, runs_nothing: bool) -> Iterator[Worker]:
        """The worker asks for a job, until the end of the block. `runs_nothing`: it says that it runs no job.

        Raises `WorkerHangsError`."""
        worker = self.heard_from(worker_id)
        self.starting.discard(worker_id)
        worker.has_polled = True
        if runs_nothing:
            worker.runs_only(set())
        if worker.named_overdue > self._hang_timeout:
            raise WorkerHangsError
        worker.is_given_up = False
        worker.open_polls += 1
        try:
            yield worker
        finally:
            worker.open_polls -= 1
            if not worker.is_retired:
                worker.idle_since = self._clock()

    def heartbeat(self, worker_id: str, job_ids: Iterable[str]) -> None:
        """The worker names the jobs that it runs. It keeps those that it was given and should stop the others."""
        worker = self.heard_from(worker_id)
        worker.is_unhealthy = False
        named = set(job_ids)
        worker.runs_only(named)
        for job_id in named:
            if self.is_running(worker_id, job_id):
                self.attempts[job_id].heard_at = self._clock()
            else:
                self.stop(worker_id, job_id)
        worker.named_overdue = max((self._clock() - since for since in worker.overdue.values()), default=0.0)

    def unhealthy(self, worker_id: str, reason: str) -> None:
        """The worker says that it cannot serve."""
        _log.warning("worker unhealthy", worker=worker_id, reason=reason)
        self.heard_from(worker_id).is_unhealthy = True

    def assigned(self, worker_id: str, job_ids: Iterable[str]) -> None:
        """The worker was given these jobs."""
        given = {job_id: Attempt(worker_id, self._clock()) for job_id in job_ids}
        self.attempts |= given
        if (worker := self._workers.get(worker_id)) is not None:  # it may have had one of them before, and lost it
            worker.jobs_to_stop -= given.keys()
            worker.runs_only(worker.overdue.keys() - given.keys())

    def is_running(self, worker_id: str, job_id: str) -> bool:
        """Whether the job is in progress with this worker."""
        return job_id in self.attempts and self.attempts[job_id].worker == worker_id

    def jobs_of(self, worker_id: str) -> list[str]:
        return [job_id for job_id, attempt in self.attempts.items() if attempt.worker == worker_id]

    def attempt_over(self, job_id: str) -> None:
        """No worker has the job any more."""
        attempt = self.attempts.pop(job_id, None)
        if attempt is not None and (worker := self._workers.get(attempt.worker)) is not None:
            worker.idle_since = self._clock()

    def stop(self, worker_id: str, job_id: str) -> None:
        """Tells the worker to stop the job, in the answer to its present or next request for jobs to stop.

        A worker that is not known now is told after its next heartbeat, if that names the job."""
        if (worker := self._workers.get(worker_id)) is not None:
            worker.overdue.setdefault(job_id, self._clock())
            worker.jobs_to_stop.add(job_id)
            worker.stop_polls.notify()

    async def jobs_to_stop(self, worker_id: str, seconds: float) -> list[str]:
        """The jobs that the worker should stop. Waits up to `seconds` until there is one."""
        worker = self.heard_from(worker_id)
        until = asyncio.get_running_loop().time() + seconds
        with worker.stop_polls.waiter() as waiter, self._listening(worker):
            if not (worker.jobs_to_stop or worker.is_retired):
                await waiter.wait(until)
        job_ids, worker.jobs_to_stop = sorted(worker.jobs_to_stop), set()
        return job_ids

    @contextmanager
    def _listening(self, worker: Worker) -> Iterator[None]:
        worker.open_stop_polls += 1
        try:
            yield
        finally:
            worker.open_stop_polls -= 1
            worker.listened_at = self._clock()

    def retire(self, worker_id: str) -> None:
        """The worker was told to end. It gets no more jobs. Its requests for jobs to stop are answered now."""
        worker = self.heard_from(worker_id)
        worker.is_retired, worker.idle_since = True, self._clock()
        worker.stop_polls.notify_all()

    def end_polls(self) -> None:
        """Answers every request for jobs to stop now."""
        for worker in self._workers.values():
            worker.stop_polls.notify_all()

    def is_retired(self, worker_id: str) -> bool:
        return worker_id in self._workers and self._workers[worker_id].is_retired

    def ended(self, worker_id: str) -> None:
        """The worker has ended."""
        self.starting.discard(worker_id)
        self._own.discard(worker_id)
        self._workers.pop(worker_id, None)

    def given_up(self, worker_id: str) -> None:
        """Nobody here can end the worker, and its lost jobs were taken from it. If it is silent, it is forgotten."""
        worker = self._workers.get(worker_id)
        if worker is None or worker.heard_at < self._clock() - self._heartbeat_timeout:
            self._workers.pop(worker_id, None)
        elif (reason := self._fault(worker_id, worker)) is not None and not worker.is_given_up:
            _log.warning("worker gets no jobs; it was not started here", worker=worker_id, reason=reason)
            worker.is_given_up = True

    def failures(self) -> list[Failure]:
        """The workers that no longer do what they should, each with the jobs that it has lost."""
        too_old = self._clock() - self._heartbeat_timeout
        unnamed: dict[str, list[str]] = {}
        for job_id, attempt in self.attempts.items():
            if attempt.heard_at < too_old:
                unnamed.setdefault(attempt.worker, []).append(job_id)
        failures = [Failure(worker_id, "no heartbeat", job_ids) for worker_id, job_ids in unnamed.items()]
        for worker_id, worker in self._workers.items():
            if worker_id not in unnamed and (reason := self._fault(worker_id, worker)) is not None:
                failures.append(Failure(worker_id, reason, self.jobs_of(worker_id)))
        return failures

    def _fault(self, worker_id: str, worker: Worker) -> str | None:
        now, is_busy = self._clock(), bool(self.jobs_of(worker_id))
        if not is_busy and worker.heard_at < now - self._heartbeat_timeout:
            return "no heartbeat"
        if worker.named_overdue > self._hang_timeout:
            return "still runs a job that is over"
        if is_busy:
            must_listen = worker_id in self._own and not worker.is_retired  # the SDK's own loop ends with a draining
            is_deaf = not worker.open_stop_polls and now - worker.listened_at > self._hang_timeout
            return "no longer asks for jobs to stop" if must_listen and is_deaf else None
        if now - worker.idle_since <= self._hang_timeout:
            return None
        if worker.is_retired:
            return "was told to end"
        return None if worker.open_polls else "has no job and asks for none"

    def counts(self) -> dict[str, int]:
        """How many workers are in each state, by the names of RunPod's `/health`."""
        busy = {attempt.worker for attempt in self.attempts.values()} & self._workers.keys()
        unhealthy = {worker_id for worker_id, worker in self._workers.items() if worker.is_unhealthy} - busy
        polled = {worker_id for worker_id, worker in self._workers.items() if worker.has_polled}
        idle = len(polled - busy - unhealthy)
        return {
            "idle": idle,
            "initializing": len(self.starting),
            "ready": idle + len(busy),
            "running": len(busy),
            "throttled": 0,
            "unhealthy": len(unhealthy),
        }
