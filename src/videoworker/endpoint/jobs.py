"""The jobs' table and every change a job can go through.

Each function is one change or one question, on a connection, at a time that the caller names (seconds since 1970).
A job is IN_QUEUE, then IN_PROGRESS with one worker, then final; every change names the state it starts from, so that
what comes too late changes nothing. JSON is kept as text, in ASCII, as the callers and the workers sent it.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Float,
    Identity,
    Index,
    Integer,
    MetaData,
    Row,
    String,
    Table,
    Text,
    bindparam,
    case,
    delete,
    func,
    insert,
    null,
    select,
    update,
)

Job = Row[*tuple[Any, ...]]  # of the table: all its columns, or those that a function names

metadata = MetaData()

# SQLite counts rows up by itself only where the key is its own INTEGER.
_Number = BigInteger().with_variant(Integer, "sqlite")


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


jobs = Table(
    "jobs",
    metadata,
    Column("number", _Number, Identity(), primary_key=True, comment="the order of arrival"),
    Column("id", String(64), nullable=False, unique=True),
    Column("status", String(16), nullable=False),
    Column("worker", String(255), comment="who runs it, or ran it last"),
    Column("attempts", Integer, nullable=False, comment="how often it was handed out since it was queued by a caller"),
    Column("retries", Integer, nullable=False, comment="how often it was queued again"),
    Column("execution_timeout", Float, nullable=False, comment="seconds"),
    Column("retention", Float, nullable=False, comment="seconds"),
    Column("created_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False, comment="when it is dropped unless it is final"),
    Column("started_at", Float),
    Column("finished_at", Float),
    Column("due_at", Float, nullable=False, comment="when time alone changes it"),
    Column("webhook", Text),
    Column("webhook_pending", Boolean, nullable=False),
    Column("body", Text, nullable=False, comment="what the worker gets beside the id: a JSON object"),
    Column("output", Text, comment="JSON"),
    Column("error", Text, comment="JSON"),
    Index("jobs_by_status", "status", "number"),
    Index("jobs_by_due_at", "due_at"),
    sqlite_autoincrement=True,
)

chunks = Table(
    "chunks",
    metadata,
    Column("number", _Number, Identity(), primary_key=True),
    Column("job_id", String(64), nullable=False, index=True),
    Column("chunk", Text, nullable=False, comment="a JSON object"),
    sqlite_autoincrement=True,
)


@dataclass(frozen=True)
class Submission:
    """A job as a caller hands it in. `body` is a JSON object; times are seconds."""

    id: str
    body: str
    webhook: str | None
    execution_timeout: float
    ttl: float
    retention: float


@dataclass(frozen=True)
class Taken:
    """A job as a worker gets it. `waited`: seconds since its caller queued it."""

    id: str
    body: str
    waited: float


@dataclass(frozen=True)
class Result:
    """What a worker says a job came to: JSON texts. With an error it failed."""

    output: str | None
    error: str | None


def add(connection: Connection, submission: Submission, now: float, retries: int = 0) -> None:
    expires_at = now + submission.ttl
    connection.execute(
        insert(jobs),
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
            "body": submission.body,
        },
    )


_now = bindparam("now", type_=Float)
_oldest = (
    select(jobs.c.number)
    .where(jobs.c.status == Status.IN_QUEUE, jobs.c.due_at > _now)
    .order_by(jobs.c.number)
    .limit(bindparam("count"))
)
_ends_at = _now + jobs.c.execution_timeout
_take = (
    update(jobs)
    .where(jobs.c.number.in_(_oldest.scalar_subquery()))
    .values(
        status=Status.IN_PROGRESS,
        worker=bindparam("by"),
        attempts=jobs.c.attempts + 1,
        started_at=_now,
        due_at=case((jobs.c.expires_at < _ends_at, jobs.c.expires_at), else_=_ends_at),
    )
    .returning(jobs.c.number, jobs.c.id, jobs.c.body, jobs.c.created_at)
)


def take(connection: Connection, worker: str, count: int, now: float) -> list[Taken]:
    """Hands out the jobs that have waited longest, at most `count`."""
    rows = connection.execute(_take, {"by": worker, "count": count, "now": now}).all()
    return [Taken(row.id, row.body, now - row.created_at) for row in sorted(rows, key=lambda row: row.number)]


_finished: dict[str, Any] = {
    "finished_at": _now,
    "due_at": _now + jobs.c.retention,
    "webhook_pending": jobs.c.webhook.is_not(None),
}
_finish = (
    update(jobs)
    .where(jobs.c.id == bindparam("job_id"), jobs.c.worker == bindparam("by"), jobs.c.status == Status.IN_PROGRESS)
    .values(status=bindparam("to"), output=bindparam("result"), error=bindparam("failure"), **_finished)
    .returning(jobs.c.webhook_pending)
)


def finish(connection: Connection, job_id: str, worker: str, result: Result, now: float) -> bool | None:
    """Whether there is a webhook to send; None where the result came too late: the job is no longer this worker's."""
    status = Status.COMPLETED if result.error is None else Status.FAILED
    values = {"job_id": job_id, "by": worker, "to": status, "result": result.output, "failure": result.error}
    has_webhook: bool | None = connection.execute(_finish, values | {"now": now}).scalar_one_or_none()
    return has_webhook


def cancel(connection: Connection, job_id: str, now: float) -> Job | None:
    """The job as it was before; cancelled now, unless it was final. None where there is no such job."""
    before = find(connection, job_id)
    if before is not None and not Status(before.status).is_final:
        connection.execute(
            update(jobs).where(jobs.c.id == job_id).values(status=Status.CANCELLED, output=null(), **_finished),
            {"now": now},
        )
    return before


def retry(connection: Connection, job_id: str, now: float) -> Job | None:
    """The job as it was before; at the queue's end now, if it was FAILED or TIMED_OUT. None: no such job."""
    before = find(connection, job_id)
    if before is not None and before.status in {Status.FAILED, Status.TIMED_OUT}:
        drop(connection, [job_id])
        ttl = before.expires_at - before.created_at
        again = Submission(job_id, before.body, before.webhook, before.execution_timeout, ttl, before.retention)
        add(connection, again, now, retries=before.retries + 1)
    return before


def drop(connection: Connection, job_ids: list[str]) -> None:
    connection.execute(delete(chunks).where(chunks.c.job_id.in_(job_ids)))
    connection.execute(delete(jobs).where(jobs.c.id.in_(job_ids)))


def lose(connection: Connection, job_ids: list[str], worker: str, max_attempts: int, error: str, now: float) -> None:
    """Takes jobs from a worker that is gone: back to where they stood in the queue, or failed after `max_attempts`."""
    lost = jobs.c.id.in_(job_ids) & (jobs.c.worker == worker) & (jobs.c.status == Status.IN_PROGRESS)
    connection.execute(delete(chunks).where(chunks.c.job_id.in_(select(jobs.c.id).where(lost))))
    connection.execute(
        update(jobs)
        .where(lost, jobs.c.attempts < max_attempts)
        .values(
            status=Status.IN_QUEUE,
            retries=jobs.c.retries + 1,
            worker=null(),
            started_at=null(),
            due_at=jobs.c.expires_at,
        )
    )
    connection.execute(update(jobs).where(lost).values(status=Status.FAILED, error=error, **_finished), {"now": now})


def purge(connection: Connection) -> list[str]:
    """Removes every job that waits. Returns their ids."""
    return list(connection.scalars(delete(jobs).where(jobs.c.status == Status.IN_QUEUE).returning(jobs.c.id)))


def let_time_pass(connection: Connection, timed_out: str, now: float) -> list[Job]:
    """Drops what outlived its time to live or its retention, and ends with the error `timed_out` what ran too long.
    Returns all these jobs, as they were before. A job whose webhook is still under way is not dropped."""
    due = connection.execute(
        select(jobs.c.id, jobs.c.status, jobs.c.worker, jobs.c.expires_at).where(
            jobs.c.due_at <= now, ~jobs.c.webhook_pending
        )
    ).all()
    slow = [row.id for row in due if row.status == Status.IN_PROGRESS and row.expires_at > now]
    dropped = [row.id for row in due if row.id not in slow]
    if slow:
        connection.execute(
            update(jobs).where(jobs.c.id.in_(slow)).values(status=Status.TIMED_OUT, error=timed_out, **_finished),
            {"now": now},
        )
    drop(connection, dropped)
    return list(due)


def any_due(connection: Connection, now: float) -> bool:
    due = select(jobs.c.id).where(jobs.c.due_at <= now, ~jobs.c.webhook_pending).limit(1)
    return connection.scalar(due) is not None


_find = select(jobs).where(jobs.c.id == bindparam("job_id"))


def find(connection: Connection, job_id: str) -> Job | None:
    return connection.execute(_find, {"job_id": job_id}).one_or_none()


def in_progress(connection: Connection) -> list[Job]:
    """Id and worker of each job in progress."""
    return list(connection.execute(select(jobs.c.id, jobs.c.worker).where(jobs.c.status == Status.IN_PROGRESS)))


def counts(connection: Connection) -> dict[str, int]:
    """How many jobs are in each state, and, as `retries`, how often one was queued again."""
    by_status = connection.execute(select(jobs.c.status, func.count()).group_by(jobs.c.status)).all()
    retries = connection.scalar(select(func.coalesce(func.sum(jobs.c.retries), 0)))
    return {status: count for status, count in by_status} | {"retries": int(retries or 0)}


def add_chunk(connection: Connection, job_id: str, worker: str, chunk: str) -> bool:
    """Whether the chunk was taken: not where the job is no longer this worker's."""
    job = find(connection, job_id)
    if job is None or job.worker != worker or job.status != Status.IN_PROGRESS:
        return False
    connection.execute(insert(chunks), {"job_id": job_id, "chunk": chunk})
    return True


def take_chunks(connection: Connection, job_id: str) -> tuple[str | None, list[str]]:
    """The job's state (None: no such job), and the chunks that nobody has had yet, in order."""
    job = find(connection, job_id)
    if job is None:
        return None, []
    removed = delete(chunks).where(chunks.c.job_id == job_id).returning(chunks.c.number, chunks.c.chunk)
    rows = connection.execute(removed).all()
    return job.status, [row.chunk for row in sorted(rows, key=lambda row: row.number)]


def webhooks_due(connection: Connection) -> list[str]:
    """Ids of jobs whose webhook has not been sent to its end."""
    return list(connection.scalars(select(jobs.c.id).where(jobs.c.webhook_pending)))


def webhook_done(connection: Connection, job_id: str) -> None:
    connection.execute(update(jobs).where(jobs.c.id == job_id).values(webhook_pending=False))
