"""When it is looked again for what a worker delivered after its job's end."""

import itertools

from sqlalchemy import create_engine

from videoworker.gateway import leftovers

DAY = 24 * 3600.0


def test_turns() -> None:
    """Soon, then after ever longer pauses, and for the last time after a day."""
    ages = []
    with create_engine("sqlite://").begin() as connection:
        leftovers.make_tables(connection)
        leftovers.note(connection, "a", 0.0)
        now = 0.0
        while now <= 2 * DAY:
            for leftover in leftovers.due(connection, 1, now):
                ages.append(now)
                leftovers.removed(connection, leftover, now)
            now += 10
    pauses = [after - before for before, after in itertools.pairwise(ages)]
    assert ages[0] <= 60 and ages[-1] == DAY
    assert pauses[:-1] == sorted(pauses[:-1]) and len(ages) < 10


def test_missed_turns() -> None:
    """A gateway that was away for days looks once."""
    with create_engine("sqlite://").begin() as connection:
        leftovers.make_tables(connection)
        leftovers.note(connection, "a", 0.0)
        (leftover,) = leftovers.due(connection, 1, 3 * DAY)
        leftovers.removed(connection, leftover, 3 * DAY)
        assert leftovers.due(connection, 1, 9 * DAY) == []


def test_noted_again() -> None:
    """Cancelled, then deleted: the later end counts."""
    with create_engine("sqlite://").begin() as connection:
        leftovers.make_tables(connection)
        leftovers.note(connection, "a", 0.0)
        leftovers.note(connection, "a", DAY)
        assert leftovers.due(connection, 9, DAY - 1) == []
        assert [one.ended_at for one in leftovers.due(connection, 9, 2 * DAY)] == [DAY]
