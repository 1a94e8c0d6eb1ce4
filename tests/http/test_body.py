"""Bodies up to a limit, and strict JSON."""

import asyncio
import itertools
import json
from typing import Any

import pytest
from fastapi import HTTPException

from tests.http.requests import Upload
from videoworker.http.body import limited_body, parse_json


def test_largest_body() -> None:
    assert asyncio.run(limited_body(Upload([b"12", b"", b"345"]).request, 5)) == b"12345"


def test_too_large() -> None:
    """It is refused as soon as it is too large, however much is still to come."""
    upload = Upload(itertools.repeat(b"xxx"))
    with pytest.raises(HTTPException) as raised:
        asyncio.run(limited_body(upload.request, 5))
    assert (raised.value.status_code, raised.value.detail) == (413, "The body is larger than 5 bytes.")
    assert upload.received == 2


@pytest.mark.parametrize("value", [{"a": [1, 2.5, None, True, "é\U0001f600"]}, 10**400, "text", None])
def test_json(value: Any) -> None:
    assert parse_json(json.dumps(value).encode()) == value


@pytest.mark.parametrize(
    "body", [b"", b"{", b"NaN", b'{"a": Infinity}', b"[-Infinity]", b"\xff", b"[" * 100_000], ids=lambda body: body[:20]
)
def test_not_json(body: bytes) -> None:
    with pytest.raises(HTTPException) as raised:
        parse_json(body)
    assert (raised.value.status_code, raised.value.detail) == (400, "The body is not JSON.")
