"""Jobs whose video nobody will get, and which a worker may still deliver.

A worker hears late that its job was cancelled, or not at all. So what such a job has left is removed several times: the
last time a day after its end. By then its endpoint has ended it: RunPod keeps no job longer, unless its `policy.ttl`
says so.

Each function takes a connection and the present time `now`. Times are seconds since 1970.
"""

from dataclasses import dataclass

from sqlalchemy import Column, Connection, Float, MetaData, String, Table, delete, insert, select, update

_FIRST_SECONDS = 10.0  # after the end
_LONGER = 6  # how many times as old it is when its turn comes again
_LAST_SECONDS = 24 * 3600.0

_metadata = MetaData()

_leftovers = Table(
    "gateway_leftovers",
    _metadata,
    Column("job_id", String(36), primary_key=True),
    Column("ended_at", Float, nullable=False),
    Column("due_at", Float, nullable=False, index=True),
)


@dataclass(frozen=True)
class Leftover:
    """A job that ended at `ended_at`."""

    job_id: str
    ended_at: float


def make_tables(connection: Connection) -> None:
    _metadata.create_all(connection)


def note(connection: Connection, job_id: str, now: float) -> None:
    """From now on nobody will get the job's video."""
    connection.execute(delete(_leftovers).where(_leftovers.c.job_id == job_id))
    connection.execute(insert(_leftovers), {"job_id": job_id, "ended_at": now, "due_at": now + _FIRST_SECONDS})


def due(connection: Connection, most: int, now: float) -> list[Leftover]:
    """Those whose turn it is, at most `most`."""
    wanted = select(_leftovers.c.job_id, _leftovers.c.ended_at).where(_leftovers.c.due_at <= now)
    rows = connection.execute(wanted.order_by(_leftovers.c.due_at).limit(most))
    return [Leftover(row.job_id, row.ended_at) for row in rows]


def removed(connection: Connection, leftover: Leftover, now: float) -> None:
    """What it had left was removed at `now`. It has another turn, or this was the last."""
    age = now - leftover.ended_at
    is_it = _leftovers.c.job_id == leftover.job_id
    if age >= _LAST_SECONDS:
        connection.execute(delete(_leftovers).where(is_it))
    else:
        due_at = leftover.ended_at + min(age * _LONGER, _LAST_SECONDS)
        connection.execute(update(_leftovers).where(is_it).values(due_at=due_at))
