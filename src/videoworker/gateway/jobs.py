"""The gateway's jobs: their table, and every change and every question there is about them.

A job is QUEUED, then RUNNING, then final. It is written here before the endpoint hears of it. Each change names the
states from which it starts, so a change that comes too late changes nothing.

A final job that the endpoint may still run is `to_cancel` until the endpoint has been told. A deleted job is hidden at
once. Its row stays until that and its video are gone. A job whose video nobody will get is noted in `leftovers`.

Each function takes a connection and, if it needs one, the present time `now`. Times are seconds since 1970.
"""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Float,
    Identity,
    Index,
    MetaData,
    Row,
    String,
    Table,
    Text,
    delete,
    func,
    insert,
    null,
    or_,
    select,
    update,
)

from videoworker.database.columns import NUMBER
from videoworker.errors import Code, FieldProblem, JobError
from videoworker.gateway import leftovers
from videoworker.request import Progress, Video

_metadata = MetaData()


_LONGEST_KEPT = 20_000  # characters of an input's field that are kept with a job: every prompt, but no picture


class State(StrEnum):
    """Where a job stands, for its caller."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        return self not in OPEN


OPEN = frozenset({State.QUEUED, State.RUNNING})

# Apart from the endpoint's tables, so that both services may share a database of PostgreSQL.
_jobs = Table(
    "gateway_jobs",
    _metadata,
    Column("number", NUMBER, Identity(), primary_key=True, comment="the order of arrival"),
    Column("id", String(36), nullable=False, unique=True),
    Column("api", String(64), nullable=False),
    Column("name", String(255), nullable=False, unique=True),
    Column("token", String(64), nullable=False, unique=True),
    Column("state", String(16), nullable=False),
    Column("request", Text, nullable=False),
    Column("extra", Text, nullable=False),
    Column("endpoint_id", String(255)),
    Column("to_cancel", Boolean, nullable=False),
    Column("deleted", Boolean, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    Column("started_at", Float),
    Column("finished_at", Float),
    Column("progress", Text),
    Column("video", Text),
    Column("timings", Text),
    Column("file", String(255)),
    Column("error", Text),
    Index("gateway_jobs_by_state", "api", "state", "number"),
    sqlite_autoincrement=True,
)

# Apart from the jobs, since it may hold a picture. It is dropped once the endpoint need not hear of it any more.
_inputs = Table(
    "gateway_inputs",
    _metadata,
    Column("job_id", String(36), primary_key=True),
    Column("input", Text, nullable=False, comment="a JSON object"),
)


@dataclass(frozen=True)
class NewJob:
    """A job as it is accepted. The fields mean what those of `Job` mean."""

    id: str
    api: str
    name: str
    token: str
    input: Mapping[str, Any]
    """The request in its API's form, with everything in it."""
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Job:
    """A job as it stands in the table."""

    number: int
    """Its place in the order of arrival."""
    id: str
    """A UUID, by which callers know it."""
    api: str
    """The name of the API under which it was accepted."""
    name: str
    """The file name of its video, for callers."""
    token: str
    """What its webhook's path ends in."""
    state: State
    request: dict[str, Any]
    """Its request in the API's form, without what is very long, such as a picture."""
    extra: dict[str, Any]
    """What the API's HTTP form keeps with it."""
    endpoint_id: str | None
    """What the endpoint calls it. None if the endpoint has not answered yet."""
    to_cancel: bool
    """Whether the endpoint is still to be told that nobody wants it any more."""
    deleted: bool
    """Whether it is hidden, and its video and its row are still to be removed."""
    created_at: float
    updated_at: float
    """When its state or its progress last changed."""
    started_at: float | None
    """When a worker was first seen to run it."""
    finished_at: float | None
    """When it became final."""
    progress: Progress | None
    video: Video | None
    """The finished video. `url` is the one that the worker gave, empty if the video came within the answer. A job whose
    video is known but which still is RUNNING waits for the video's bytes."""
    timings: dict[str, float] | None
    """Seconds by stage, with `total`, as the worker measured them."""
    file: str | None
    """The name of its video's file in the gateway's folder. None if the video lies in the bucket."""
    error: JobError | None
    """Why it failed or was cancelled."""


@dataclass(frozen=True)
class Query:
    """Which jobs of an API to list. `states`: None for all. `after`: the id of the job that the list goes on from.
    `limit`: how many at most."""

    states: frozenset[State] | None = None
    limit: int = 50
    after: str | None = None
    oldest_first: bool = False


@dataclass(frozen=True)
class Page:
    """What a query found, in order, and whether there is more."""

    jobs: list[Job]
    has_more: bool


def make_tables(connection: Connection) -> None:
    _metadata.create_all(connection)
    leftovers.make_tables(connection)


def add(connection: Connection, job: NewJob, most_queued: int | None, now: float) -> bool:
    """Writes a new job, unless `most_queued` jobs of its API wait already. Returns whether it did. If another job has
    its name, the new one's gets a suffix."""
    if most_queued is not None:
        waiting = select(func.count()).where(
            _jobs.c.api == job.api, _jobs.c.state == State.QUEUED, _jobs.c.deleted.is_(False)
        )
        if (connection.scalar(waiting) or 0) >= most_queued:
            return False
    kept = {name: value for name, value in job.input.items() if len(str(value)) <= _LONGEST_KEPT}
    connection.execute(insert(_inputs), {"job_id": job.id, "input": json.dumps(job.input)})
    connection.execute(
        insert(_jobs),
        {
            "id": job.id,
            "api": job.api,
            "name": _free_name(connection, job.name),
            "token": job.token,
            "state": State.QUEUED,
            "request": json.dumps(kept),
            "extra": json.dumps(job.extra),
            "to_cancel": False,
            "deleted": False,
            "created_at": now,
            "updated_at": now,
        },
    )
    return True


def discard(connection: Connection, job_id: str) -> None:
    """Removes the job and all that belongs to it."""
    connection.execute(delete(_inputs).where(_inputs.c.job_id == job_id))
    connection.execute(delete(_jobs).where(_jobs.c.id == job_id))


def to_submit(connection: Connection, job_id: str) -> dict[str, Any] | None:
    """What the endpoint is sent. None if it has the job, or nobody wants it any more."""
    waits = select(_jobs.c.id).where(_jobs.c.id == job_id, _jobs.c.state == State.QUEUED, _jobs.c.endpoint_id.is_(None))
    return None if connection.scalar(waits) is None else input_of(connection, job_id)


def submitted(connection: Connection, job_id: str, endpoint_id: str) -> bool:
    """The endpoint has the job under this id. Returns whether it is taken: False if it is known under another one."""
    connection.execute(
        update(_jobs).where(_jobs.c.id == job_id, _jobs.c.endpoint_id.is_(None)).values(endpoint_id=endpoint_id)
    )
    known = connection.scalar(select(_jobs.c.endpoint_id).where(_jobs.c.id == job_id))
    return known == endpoint_id


def running(connection: Connection, job_id: str, progress: Progress | None, now: float) -> None:
    """A worker runs the job. `progress`: None if none is known; then what was known before stays."""
    changes: dict[str, Any] = {"state": State.RUNNING, "started_at": func.coalesce(_jobs.c.started_at, now)}
    if progress is not None:
        changes["progress"] = _PROGRESS.dump_json(progress).decode()
    connection.execute(
        update(_jobs).where(_jobs.c.id == job_id, _jobs.c.state.in_(OPEN)).values(updated_at=now, **changes)
    )


def queued_again(connection: Connection, job_id: str, now: float) -> None:
    """The endpoint took the job back from a worker that was lost."""
    connection.execute(
        update(_jobs)
        .where(_jobs.c.id == job_id, _jobs.c.state == State.RUNNING)
        .values(state=State.QUEUED, updated_at=now)
    )


def made(connection: Connection, job_id: str, video: Video, timings: Mapping[str, float], now: float) -> None:
    """The video is finished on the endpoint. Its bytes are not known to be here yet."""
    running(connection, job_id, None, now)
    connection.execute(
        update(_jobs)
        .where(_jobs.c.id == job_id, _jobs.c.state.in_(OPEN))
        .values(video=_VIDEO.dump_json(video).decode(), timings=json.dumps(timings))
    )


def complete(connection: Connection, job_id: str, file: str | None, now: float) -> None:
    """The bytes of the video are here: in `file`, or in the bucket."""
    _end(connection, job_id, now, state=State.COMPLETED, file=file)


def fail(connection: Connection, job_id: str, error: JobError, now: float) -> None:
    state = State.CANCELLED if error.code is Code.CANCELLED else State.FAILED
    _end(connection, job_id, now, state=state, error=_error_text(error))


def cancel(connection: Connection, job_id: str, now: float) -> Job | None:
    """Cancels the job unless it is final. Returns it as it was; None if there is no such job."""
    before = find(connection, job_id)
    if before is not None and not before.state.is_final:
        _end(
            connection,
            job_id,
            now,
            state=State.CANCELLED,
            error=_error_text(JobError(Code.CANCELLED, "The job was cancelled.")),
            to_cancel=True,
        )
    return before


def remove(connection: Connection, job_id: str, states: frozenset[State], now: float) -> Job | None:
    """Hides the job if it is in one of `states`, and cancels it if it is not final. Returns it as it was; None if there
    is no such job."""
    before = find(connection, job_id)
    if before is not None and before.state in states:
        cancel(connection, job_id, now)
        connection.execute(update(_jobs).where(_jobs.c.id == job_id).values(deleted=True))
        leftovers.note(connection, job_id, now)
    return before


def remove_old(connection: Connection, age: float, most: int, now: float) -> list[Job]:
    """Hides jobs that ended more than `age` seconds ago, the oldest first and `most` at most. Returns them."""
    is_old = _jobs.c.finished_at < now - age
    wanted = select(_jobs).where(is_old, _jobs.c.deleted.is_(False)).order_by(_jobs.c.number).limit(most)
    old = [_job(row) for row in connection.execute(wanted)]
    connection.execute(update(_jobs).where(_jobs.c.id.in_([job.id for job in old])).values(deleted=True))
    for job in old:
        leftovers.note(connection, job.id, now)
    return old


def input_of(connection: Connection, job_id: str) -> dict[str, Any] | None:
    """What the endpoint is sent. None if it need not hear of the job any more."""
    found = connection.scalar(select(_inputs.c.input).where(_inputs.c.job_id == job_id))
    return None if found is None else json.loads(found)


def cancelled_there(connection: Connection, job_id: str) -> None:
    """The endpoint has been told that nobody wants the job."""
    connection.execute(update(_jobs).where(_jobs.c.id == job_id).values(to_cancel=False))
    connection.execute(delete(_inputs).where(_inputs.c.job_id == job_id))


def find(connection: Connection, job_id: str) -> Job | None:
    """None if there is no such job, or it is deleted."""
    return _first(connection, _jobs.c.id == job_id, _jobs.c.deleted.is_(False))


def find_by_name(connection: Connection, api: str, name: str) -> Job | None:
    return _first(connection, _jobs.c.api == api, _jobs.c.name == name, _jobs.c.deleted.is_(False))


def find_by_token(connection: Connection, token: str) -> Job | None:
    """Also one that is deleted."""
    return _first(connection, _jobs.c.token == token)


def unsettled(connection: Connection) -> list[Job]:
    """All jobs with which something is still to be done, in the order of arrival."""
    to_do = or_(_jobs.c.state.in_(OPEN), _jobs.c.to_cancel, _jobs.c.deleted)
    return [_job(row) for row in connection.execute(select(_jobs).where(to_do).order_by(_jobs.c.number))]


def reread(connection: Connection, job_id: str) -> Job | None:
    """The job, also if it is deleted."""
    return _first(connection, _jobs.c.id == job_id)


def page(connection: Connection, api: str, query: Query) -> Page:
    """The newest first, unless the query says otherwise."""
    wanted = select(_jobs).where(_jobs.c.api == api, _jobs.c.deleted.is_(False))
    if query.states is not None:
        wanted = wanted.where(_jobs.c.state.in_(query.states))
    number = _jobs.c.number
    if query.after is not None:
        after = select(number).where(_jobs.c.id == query.after).scalar_subquery()
        wanted = wanted.where(number > after if query.oldest_first else number < after)
    wanted = wanted.order_by(number if query.oldest_first else number.desc()).limit(query.limit + 1)
    rows = connection.execute(wanted).all()
    return Page([_job(row) for row in rows[: query.limit]], has_more=len(rows) > query.limit)


def counts(connection: Connection, api: str) -> dict[State, int]:
    """How many jobs of the API are in each state. One that no job is in is absent."""
    rows = connection.execute(
        select(_jobs.c.state, func.count())
        .where(_jobs.c.api == api, _jobs.c.deleted.is_(False))
        .group_by(_jobs.c.state)
    )
    return {State(state): number for state, number in rows}


def ahead(connection: Connection, number: int) -> int:
    """How many jobs wait that came before the one with this number."""
    waiting = select(func.count()).where(
        _jobs.c.state == State.QUEUED, _jobs.c.number < number, _jobs.c.deleted.is_(False)
    )
    return connection.scalar(waiting) or 0


def _free_name(connection: Connection, wanted: str) -> str:
    stem, dot, ending = wanted.rpartition(".")
    name = wanted
    while connection.scalar(select(_jobs.c.id).where(_jobs.c.name == name)) is not None:
        name = f"{stem}_{secrets.token_hex(2)}{dot}{ending}"
    return name


def _end(connection: Connection, job_id: str, now: float, **values: Any) -> None:
    ended = connection.execute(
        update(_jobs)
        .where(_jobs.c.id == job_id, _jobs.c.state.in_(OPEN))
        .values(finished_at=now, updated_at=now, progress=null(), **values)
    )
    if ended.rowcount and values["state"] is not State.COMPLETED:
        leftovers.note(connection, job_id, now)
    if ended.rowcount and not values.get("to_cancel"):
        connection.execute(delete(_inputs).where(_inputs.c.job_id == job_id))


def _first(connection: Connection, *conditions: Any) -> Job | None:
    row = connection.execute(select(_jobs).where(*conditions)).one_or_none()
    return None if row is None else _job(row)


_PROGRESS = TypeAdapter(Progress)
_VIDEO = TypeAdapter(Video)


def _job(row: Row[Any]) -> Job:
    return Job(
        **{
            **row._mapping,
            "state": State(row.state),
            "request": json.loads(row.request),
            "extra": json.loads(row.extra),
            "progress": None if row.progress is None else _PROGRESS.validate_json(row.progress),
            "video": None if row.video is None else _VIDEO.validate_json(row.video),
            "timings": None if row.timings is None else json.loads(row.timings),
            "error": None if row.error is None else _error(row.error),
        }
    )


def _error_text(error: JobError) -> str:
    fields = [(problem.field, problem.given, problem.allowed) for problem in error.fields]
    return json.dumps({"code": error.code, "message": error.message, "fields": fields})


def _error(text: str) -> JobError:
    told = json.loads(text)
    fields = tuple(FieldProblem(*problem) for problem in told["fields"])
    return JobError(Code(told["code"]), told["message"], fields)
