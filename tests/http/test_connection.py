"""How slowly an answer may be read; `tests/endpoint/test_limits.py` shows the other limits of a connection."""

import asyncio
import socket
from collections.abc import Iterator

import pytest
import uvicorn
from fastapi import FastAPI

from videoworker.http.admission import Admission
from videoworker.http.connection import Connection
from videoworker.http.limits import Limits


class Reader(asyncio.Transport):
    """A transport over which the caller has not taken `unread` bytes yet."""

    def __init__(self) -> None:
        self.unread, self.is_aborted = 0, False
        self.socket = socket.socket()
        super().__init__({"socket": self.socket})

    def get_write_buffer_size(self) -> int:
        return self.unread

    def is_closing(self) -> bool:
        return self.is_aborted

    def abort(self) -> None:
        self.is_aborted = True


@pytest.fixture
def reader() -> Iterator[Reader]:
    reader = Reader()
    with reader.socket:
        yield reader


@pytest.fixture
def connection(reader: Reader) -> Iterator[Connection]:
    loop = asyncio.new_event_loop()
    limits = Limits(unread_seconds=60, unread_bytes=1000, head_seconds=1e9)
    connection = Connection(uvicorn.Config(FastAPI(), log_config=None), Admission(limits), {}, loop)
    connection.connection_made(reader)
    yield connection
    loop.close()


@pytest.mark.parametrize(("taken", "is_kept"), [(1000, True), (999, False), (0, False)])
def test_slow_reader(connection: Connection, reader: Reader, taken: int, is_kept: bool) -> None:
    for minutes in range(10):
        reader.unread = 100_000 - minutes * taken
        connection.check(61.0 * minutes)
    assert reader.is_aborted is not is_kept


def test_many_small_answers(connection: Connection, reader: Reader) -> None:
    """What is unread stays the same, but it is not the same."""
    reader.unread = 100_000
    for minutes in range(10):
        connection.check(61.0 * minutes)
        connection.pause_writing()
        connection.resume_writing()
    assert not reader.is_aborted
