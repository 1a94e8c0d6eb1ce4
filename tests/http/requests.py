"""Requests as an HTTP server hands them to an application."""

from collections.abc import Iterable, Iterator, Mapping

from starlette.requests import Request
from starlette.types import Message


def request_with(headers: Mapping[str, str], host: str = "127.0.0.1:8000") -> Request:
    """A request without a body. `host` is its Host header."""
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in ({"Host": host} | dict(headers)).items()]
    return Request(
        {"type": "http", "method": "GET", "scheme": "http", "path": "/", "query_string": b"", "headers": raw}
    )


class Upload:
    """A request whose body arrives in `chunks`. `received` counts those that were read."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks: Iterator[bytes] = iter(chunks)
        self.received = 0
        self.request = Request({"type": "http", "method": "POST", "headers": []}, self._receive)

    async def _receive(self) -> Message:
        chunk = next(self._chunks, None)
        if chunk is None:
            return {"type": "http.request", "body": b"", "more_body": False}
        self.received += 1
        return {"type": "http.request", "body": chunk, "more_body": True}
