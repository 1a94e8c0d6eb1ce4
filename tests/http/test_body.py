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
    "body", [b"", b"{", b"NaN", b'{"a": Infinity}', b"[-Infinity]", b"\xff", b"01", b"1.e3"], ids=lambda body: body[:20]
)
def test_not_json(body: bytes) -> None:
    with pytest.raises(HTTPException) as raised:
        parse_json(body)
    assert (raised.value.status_code, raised.value.detail) == (400, "The body is not JSON.")


@pytest.mark.parametrize(
    ("body", "code", "told"),
    [
        (b"[" + b"[]," * 3_300_000 + b"0]", 413, "more than 200000 commas"),
        (b'{"a":' * 2_000_000, 413, "more than 200000 commas"),
        (b"[" + b"1," * 5_000_000 + b"1]", 413, "more than 200000 commas"),
        (b"[" * 199_000, 400, "nested more than 200 deep"),
        (b"[" * 201 + b"]" * 201, 400, "nested more than 200 deep"),
        (b'{"a":' * 201 + b"1" + b"}" * 201, 400, "nested more than 200 deep"),
        (b'{"a": 1e999}', 400, "a number that is too large: 1e999"),
        (b"[-1.5E+400]", 400, "a number that is too large: -1.5E+400"),
        (b"1" * 5000, 400, "an integer of 5000 digits; the longest has 4300"),
        (b"[-" + b"1" * 4301 + b"]", 400, "an integer of 4301 digits; the longest has 4300"),
        (b"1" * 10_000_000, 400, "an integer of 10000000 digits"),
    ],
    ids=[
        "lists",
        "objects",
        "numbers",
        "open",
        "deep lists",
        "deep objects",
        "exponent",
        "negative",
        "digits",
        "minus",
        "long",
    ],
)
def test_what_cannot_be_kept(body: bytes, code: int, told: str) -> None:
    """It is refused by what it is, before it has cost anything."""
    with pytest.raises(HTTPException) as raised:
        parse_json(body)
    assert raised.value.status_code == code and told in raised.value.detail


@pytest.mark.parametrize(
    "text", ["[" * 200 + "]" * 200, "9" * 4300, "-" + "9" * 4300, "1e308", json.dumps([0] * 199_999)], ids=len
)
def test_as_much_as_we_take(text: str) -> None:
    """What is taken can be written again."""
    assert json.loads(json.dumps(parse_json(text.encode()))) == json.loads(text)
