"""The memory that bodies may take together."""

import asyncio

import pytest
from fastapi import HTTPException

from tests.http.requests import Upload
from videoworker.http.body import limited_body
from videoworker.http.room import Room

LARGE, SMALL = [bytes(200_000)] * 2, [bytes(50_000)]


def test_large_bodies_at_once() -> None:
    """There is room for one of them. The next one is refused, and a small one never. What one had is given back."""
    room = Room(500_000)

    def length(chunks: list[bytes]) -> int:
        return len(asyncio.run(limited_body(Upload(chunks).request, 1_000_000, room)))

    with room.taken() as take:
        take(400_000)
        with pytest.raises(HTTPException) as raised:
            length(LARGE)
        assert raised.value.status_code == 503
        assert length(SMALL) == 50_000
    assert [length(LARGE), length(LARGE)] == [400_000, 400_000]
