"""The jobs' table, and every change and every question there is about jobs.

A job is IN_QUEUE, then IN_PROGRESS with one worker, then final. Each change names the state from which it starts. So a
change that comes too late changes nothing.

Each function takes a connection and, if it needs one, the present time `now`. Times are seconds since 1970, durations
are seconds. JSON is kept as text, in ASCII, as the callers and the workers sent it.
"""

import json
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Float,
    Identity,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    bindparam,
    case,
    delete,
    func,
    insert,
    inspect,
    null,
    select,
    text,
    update,
)

from videoworker.database.columns import NUMBER

metadata = MetaData()


class Status(StrEnum):
    """RunPod's job states."""

    IN_QUEUE = "IN_QUEUE"
    IN_PROGRESS = "IN_PROGRESS"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    TIMED_OUT = "TIMED_OUT"

    @property
    def is_final(self) -> bool:
        return self not in {Status.IN_QUEUE, Status.IN_PROGRESS}

    @property
    def can_be_retried(self) -> bool:
        return self in {Status.FAILED, Status.TIMED_OUT}


_jobs = Table(
    "jobs",
    metadata,
    Column("number", NUMBER, Identity(), primary_key=True, comment="the order of arrival"),
    Column("id", String(64), nullable=False, unique=True),
    Column("status", String(16), nullable=False),
    Column("worker", String(255)),
    Column("attempts", Integer, nullable=False, comment="how often it was handed out since a caller queued it"),
    Column("retries", Integer, nullable=False),
    Column("execution_timeout", Float, nullable=False),
    Column("retention", Float, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("started_at", Float),
    Column("finished_at", Float),
    Column("due_at", Float, nullable=False, comment="when it expires, times out, or has been kept long enough"),
    Column("webhook", Text),
    Column("webhook_pending", Boolean, nullable=False),
    Column("body_bytes", Integer, nullable=False),
    Column("output", Text),
    Column("error", Text),
    Index("jobs_by_due_at", "due_at"),
    sqlite_autoincrement=True,
)

_by_status = Index("jobs_by_status", _jobs.c.status, _jobs.c.number, _jobs.c.body_bytes)

# Apart from the jobs: SQLite writes a whole row anew if one of its columns changes, and reads it up to the last column
# that is asked for.
_bodies = Table(
    "bodies",
    metadata,
    Column("job_id", String(64), primary_key=True),
    Column("body", Text, nullable=False, comment="a JSON object that has an `input`"),
)

_chunks = Table(
    "chunks",
    metadata,
    Column("number", NUMBER, Identity(), primary_key=True),
    Column("job_id", String(64), nullable=False, index=True),
    Column("chunk", Text, nullable=False, comment="a JSON object"),
    sqlite_autoincrement=True,
)


def make_tables(connection: Connection) -> None:
    """Makes the tables if there are none. From jobs that hold their bodies, as they once did, it takes them out."""
    inspector = inspect(connection)
    hold_bodies = inspector.has_table("jobs") and "body" in {one["name"] for one in inspector.get_columns("jobs")}
    metadata.create_all(connection)
    if hold_bodies:
        for statement in (
            "INSERT INTO bodies (job_id, body) SELECT id, body FROM jobs",
            "ALTER TABLE jobs ADD COLUMN body_bytes INTEGER NOT NULL DEFAULT 0",
            "UPDATE jobs SET body_bytes = length(body)",
            "ALTER TABLE jobs DROP COLUMN body",
            "DROP INDEX jobs_by_status",
        ):
            connection.execute(text(statement))
        _by_status.create(connection)


@dataclass(frozen=True)
class Job:
    """A job as it stands in the table. Its fields are columns of the same names."""

    id: str
    """What callers and workers know it by."""
    status: Status
    """The state that it is in."""
    worker: str | None
    """The id of the worker that runs it or ran it last. None if none has begun it since it was queued."""
    retries: int
    """How often it was queued again, by a caller or because its worker was lost."""
    execution_timeout: float
    """How long a worker may run it."""
    retention: float
    """How long it is kept after its end."""
    created_at: float
    """When a caller queued it, at first or by a retry."""
    expires_at: float
    """When it is dropped if it is not final by then."""
    started_at: float | None
    """When its present or last worker got it. None if none has begun it since it was queued."""
    finished_at: float | None
    """When it became final. None if it is not."""
    webhook: str | None
    """The URL that its final state is posted to."""
    webhook_pending: bool
    """Whether it is final and has a webhook that still is to be sent."""
    output: str | None
    """What its worker made, as JSON text. None if it is not final or there is none."""
    error: str | None
    """Why it failed or timed out, as JSON text."""


@dataclass(frozen=True)
class JobState:
    """Where a job stands. The fields mean what those of `Job` mean."""

    status: Status
    worker: str | None

    @property
    def running_on(self) -> str | None:
        """The id of the worker that runs it now."""
        return self.worker if self.status is Status.IN_PROGRESS else None


@dataclass(frozen=True)
class Submission:
    """A job as a caller submits it. The fields mean what those of `Job` mean."""

    id: str
    body: str
    """What its worker gets beside the id: a JSON object that has an `input`."""
    webhook: str | None
    execution_timeout: float
    ttl: float
    """How long after its arrival it expires."""
    retention: float
    is_keyed: bool = False
    """Whether it may have been submitted before, under the same id."""


@dataclass(frozen=True)
class AssignedJob:
    """A job as its worker gets it."""

    id: str
    body: str
    waited: float
    """Seconds since a caller queued it."""


@dataclass(frozen=True)
class JobResult:
    """What a worker says of a job at its end. The job failed if there is an error. Both are JSON texts."""

    output: str | None
    error: str | None


@dataclass(frozen=True)
class RunningJob:
    """A job in progress, and the worker that runs it."""

    id: str
    worker: str


@dataclass(frozen=True)
class DueJob:
    """A job that timed out or was dropped."""

    id: str
    was_running_on: str | None
    """The worker that ran it until then. None if none did."""


@dataclass(frozen=True)
class JobCounts:
    """How many jobs the table holds."""

    by_status: dict[Status, int]
    """A state that no job is in is absent."""
    retries: int
    """How often these jobs were queued again."""


@dataclass(frozen=True)
class JobStream:
    """A job's state, and the chunks that were taken with it, in order. A chunk is a JSON object as text."""

    status: Status
    chunks: list[str]


_queued_bytes = select(func.coalesce(func.sum(_jobs.c.body_bytes), 0)).where(_jobs.c.status == Status.IN_QUEUE)


def add_if_room(connection: Connection, submission: Submission, max_bytes: int, now: float) -> int | None:
    """Puts a new job at the end of the queue, unless the jobs that wait would hold more than `max_bytes` by that.

    Returns how many bytes may still be added; None if it is not added."""
    left = max_bytes - int(connection.scalar(_queued_bytes) or 0) - len(submission.body)
    if left < 0:
        return None
    add(connection, submission, now)
    return left


def add(connection: Connection, submission: Submission, now: float, retries: int = 0) -> None:
    """Puts a new job at the end of the queue. Nothing happens if it is there already."""
    if submission.is_keyed and _state(connection, submission.id) is not None:
        return
    expires_at = now + submission.ttl
    connection.execute(insert(_bodies), {"job_id": submission.id, "body": submission.body})
    connection.execute(
        insert(_jobs),
        {
            "id": submission.id,
            "status": Status.IN_QUEUE,
            "attempts": 0,
            "retries": retries,
            "execution_timeout": submission.execution_timeout,
            "retention": submission.retention,
            "created_at": now,
            "expires_at": expires_at,
            "due_at": expires_at,
            "webhook": submission.webhook,
            "webhook_pending": False,
            "body_bytes": len(submission.body),
        },
    )


_now = bindparam("now", type_=Float)
_oldest = (
    select(_jobs.c.number)
    .where(_jobs.c.status == Status.IN_QUEUE, _jobs.c.due_at > _now)
    .order_by(_jobs.c.number)
    .limit(bindparam("count"))
)
_times_out_at = _now + _jobs.c.execution_timeout
_take = (
    update(_jobs)
    .where(_jobs.c.number.in_(_oldest.scalar_subquery()))
    .values(
        status=Status.IN_PROGRESS,
        worker=bindparam("by"),
        attempts=_jobs.c.attempts + 1,
        started_at=_now,
        due_at=case((_jobs.c.expires_at < _times_out_at, _jobs.c.expires_at), else_=_times_out_at),
    )
    .returning(_jobs.c.number, _jobs.c.id, _jobs.c.created_at)
)
_body = select(_bodies.c.body).where(_bodies.c.job_id == bindparam("job_id"))


def take(connection: Connection, worker: str, count: int, now: float) -> list[AssignedJob]:
    """Hands out the jobs that have waited longest, at most `count`."""
    rows = connection.execute(_take, {"by": worker, "count": count, "now": now}).all()
    return [
        AssignedJob(row.id, connection.scalars(_body, {"job_id": row.id}).one(), now - row.created_at)
        for row in sorted(rows, key=lambda row: row.number)
    ]


_final: dict[str, Any] = {  # the columns of every job that becomes final
    "finished_at": _now,
    "due_at": _now + _jobs.c.retention,
    "webhook_pending": _jobs.c.webhook.is_not(None),
}
_finish = (
    update(_jobs)
    .where(_jobs.c.id == bindparam("job_id"), _jobs.c.worker == bindparam("by"), _jobs.c.status == Status.IN_PROGRESS)
    .values(status=bindparam("to"), output=bindparam("result"), error=bindparam("failure"), **_final)
    .returning(_jobs.c.webhook_pending)
)


def finish(connection: Connection, job_id: str, worker: str, result: JobResult, now: float) -> bool | None:
    """Whether there is a webhook to send. None if the result comes too late: this worker no longer has the job."""
    status = Status.COMPLETED if result.error is None else Status.FAILED
    values = {"job_id": job_id, "by": worker, "to": status, "result": result.output, "failure": result.error}
    has_webhook: bool | None = connection.execute(_finish, values | {"now": now}).scalar_one_or_none()
    return has_webhook


def cancel(connection: Connection, job_id: str, now: float) -> JobState | None:
    """Cancels the job unless it is final. Returns how it was before; None if there is no such job."""
    before = _state(connection, job_id)
    if before is not None and not before.status.is_final:
        connection.execute(
            update(_jobs).where(_jobs.c.id == job_id).values(status=Status.CANCELLED, output=null(), **_final),
            {"now": now},
        )
    return before


def retry(connection: Connection, job_id: str, now: float) -> JobState | None:
    """Puts the job at the end of the queue if it is FAILED or TIMED_OUT.

    Returns how it was before; None if there is no such job."""
    before = _state(connection, job_id)
    if before is not None and before.status.can_be_retried:
        job, body = find(connection, job_id), find_body(connection, job_id)
        assert job is not None and body is not None
        _drop(connection, [job_id])
        ttl = job.expires_at - job.created_at
        again = Submission(job_id, body, job.webhook, job.execution_timeout, ttl, job.retention)
        add(connection, again, now, retries=job.retries + 1)
    return before


def take_back(connection: Connection, job_ids: list[str], worker: str, max_attempts: int, now: float) -> None:
    """Takes jobs from a worker that no longer runs them.

    Each goes back to its former place in the queue. If it was handed out `max_attempts` times, it fails instead."""
    lost = _jobs.c.id.in_(job_ids) & (_jobs.c.worker == worker) & (_jobs.c.status == Status.IN_PROGRESS)
    connection.execute(delete(_chunks).where(_chunks.c.job_id.in_(select(_jobs.c.id).where(lost))))
    connection.execute(
        update(_jobs)
        .where(lost, _jobs.c.attempts < max_attempts)
        .values(
            status=Status.IN_QUEUE,
            retries=_jobs.c.retries + 1,
            worker=null(),
            started_at=null(),
            due_at=_jobs.c.expires_at,
        )
    )
    error = json.dumps(f"The job was started {max_attempts} times and each time lost with its worker.")
    connection.execute(update(_jobs).where(lost).values(status=Status.FAILED, error=error, **_final), {"now": now})


def purge(connection: Connection) -> list[str]:
    """Removes every job that is IN_QUEUE. Returns their ids."""
    waiting = _jobs.c.status == Status.IN_QUEUE
    connection.execute(delete(_bodies).where(_bodies.c.job_id.in_(select(_jobs.c.id).where(waiting))))
    return list(connection.scalars(delete(_jobs).where(waiting).returning(_jobs.c.id)))


def apply_deadlines(connection: Connection, now: float) -> list[DueJob]:
    """Ends every job that has run for its execution timeout: it is TIMED_OUT. Drops every job that has expired, and
    every final job that has been kept for its retention. A job whose webhook is still to be sent stays.

    Returns the jobs that it ended or dropped."""
    due = connection.execute(
        select(_jobs.c.id, _jobs.c.status, _jobs.c.worker, _jobs.c.expires_at).where(
            _jobs.c.due_at <= now, ~_jobs.c.webhook_pending
        )
    ).all()
    timed_out = [row.id for row in due if row.status == Status.IN_PROGRESS and row.expires_at > now]
    if timed_out:
        error = json.dumps(
            "The job took longer than its execution timeout. Its policy.executionTimeout says how long, else the "
            "endpoint's EXECUTION_TIMEOUT_SECONDS."
        )
        connection.execute(
            update(_jobs).where(_jobs.c.id.in_(timed_out)).values(status=Status.TIMED_OUT, error=error, **_final),
            {"now": now},
        )
    _drop(connection, [row.id for row in due if row.id not in timed_out])
    return [DueJob(row.id, row.worker if row.status == Status.IN_PROGRESS else None) for row in due]


def any_due(connection: Connection, now: float) -> bool:
    """Whether `apply_deadlines` would change anything."""
    due = select(_jobs.c.id).where(_jobs.c.due_at <= now, ~_jobs.c.webhook_pending).limit(1)
    return connection.scalar(due) is not None


_find = select(*[_jobs.c[field.name] for field in fields(Job)]).where(_jobs.c.id == bindparam("job_id"))


def find(connection: Connection, job_id: str) -> Job | None:
    columns = connection.execute(_find, {"job_id": job_id}).mappings().one_or_none()
    return None if columns is None else Job(**{**columns, "status": Status(columns["status"])})


def find_body(connection: Connection, job_id: str) -> str | None:
    """What the job's worker gets. None if there is no such job."""
    return connection.scalar(_body, {"job_id": job_id})


_find_state = select(*[_jobs.c[field.name] for field in fields(JobState)]).where(_jobs.c.id == bindparam("job_id"))


def _state(connection: Connection, job_id: str) -> JobState | None:
    row = connection.execute(_find_state, {"job_id": job_id}).one_or_none()
    return None if row is None else JobState(Status(row.status), row.worker)


def in_progress(connection: Connection) -> list[RunningJob]:
    running = select(_jobs.c.id, _jobs.c.worker).where(_jobs.c.status == Status.IN_PROGRESS)
    return [RunningJob(row.id, row.worker) for row in connection.execute(running)]


def count(connection: Connection) -> JobCounts:
    by_status = connection.execute(select(_jobs.c.status, func.count()).group_by(_jobs.c.status)).all()
    retries = connection.scalar(select(func.coalesce(func.sum(_jobs.c.retries), 0)))
    return JobCounts({Status(status): number for status, number in by_status}, int(retries or 0))


def add_chunk(connection: Connection, job_id: str, worker: str, chunk: str) -> bool:
    """Whether the chunk was kept. It is not if this worker no longer has the job."""
    job = _state(connection, job_id)
    if job is None or job.running_on != worker:
        return False
    connection.execute(insert(_chunks), {"job_id": job_id, "chunk": chunk})
    return True


def take_chunks(connection: Connection, job_id: str) -> JobStream | None:
    """The chunks that nobody has taken yet. Each is given once. None if there is no such job."""
    job = _state(connection, job_id)
    if job is None:
        return None
    taken = delete(_chunks).where(_chunks.c.job_id == job_id).returning(_chunks.c.number, _chunks.c.chunk)
    rows = connection.execute(taken).all()
    return JobStream(job.status, [row.chunk for row in sorted(rows, key=lambda row: row.number)])


def webhooks_pending(connection: Connection) -> list[str]:
    """The ids of all jobs whose webhook is still to be sent."""
    return list(connection.scalars(select(_jobs.c.id).where(_jobs.c.webhook_pending)))


def webhook_done(connection: Connection, job_id: str) -> None:
    """The job's webhook was accepted or given up."""
    connection.execute(update(_jobs).where(_jobs.c.id == job_id).values(webhook_pending=False))


def _drop(connection: Connection, job_ids: list[str]) -> None:
    for parts in (_chunks, _bodies):
        connection.execute(delete(parts).where(parts.c.job_id.in_(job_ids)))
    connection.execute(delete(_jobs).where(_jobs.c.id.in_(job_ids)))
