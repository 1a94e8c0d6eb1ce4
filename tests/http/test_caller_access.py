"""Who is let in, with API keys and without."""

import asyncio

import pytest
from fastapi import HTTPException

from tests.http.requests import request_with
from videoworker.http.caller_access import CallerAccess


def refusal(keys: tuple[str, ...], headers: dict[str, str], host: str = "127.0.0.1:8000") -> int | None:
    """The status with which the request is refused. None if it is let in."""
    try:
        asyncio.run(CallerAccess(keys).check(request_with(headers, host)))
    except HTTPException as error:
        return error.status_code
    return None


@pytest.mark.parametrize("sent", ["Bearer first", "Bearer second", "first", "bearer first", "BEARER  first"])
def test_key(sent: str) -> None:
    assert refusal(("first", "second"), {"Authorization": sent}, "example.org") is None


@pytest.mark.parametrize(("key", "encoding"), [("clé", "utf-8"), ("clé", "latin-1"), ("ключ", "utf-8")])
def test_key_outside_ascii(key: str, encoding: str) -> None:
    """Clients send it in either encoding. No other text stands for it."""
    assert refusal((key,), {"Authorization": f"Bearer {key}".encode(encoding).decode("latin-1")}) is None
    for other in ("cle", "cl?", "????"):
        assert refusal((key,), {"Authorization": f"Bearer {other}"}) == 401


@pytest.mark.parametrize(
    "sent", ["", "Bearer ", "Bearer firs", "Bearer first ", "Bearer first, second", "Basic first", "clé"]
)
def test_wrong_key(sent: str) -> None:
    assert refusal(("first", "second"), {"Authorization": sent}) == 401


def test_missing_key() -> None:
    assert refusal(("first",), {}) == 401


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "127.0.0.2:8000", "localhost", "[::1]:8000"])
def test_local_caller(host: str) -> None:
    """Without API keys, this machine's programs are let in."""
    assert refusal((), {}, host) is None
    assert refusal((), {"Origin": f"http://{host}"}, host) is None


@pytest.mark.parametrize(
    ("host", "headers"),
    [
        ("example.org", {}),
        ("192.168.1.2:8000", {}),
        ("127.0.0.1.example.org", {}),
        ("", {}),
        ("[::1", {}),
        ("127.0.0.1:8000", {"Origin": "http://["}),
        ("127.0.0.1:8000", {"Origin": "https://example.org"}),
        ("127.0.0.1:8000", {"Origin": "http://127.0.0.1:9000"}),
        ("127.0.0.1:8000", {"Origin": "null"}),
        ("127.0.0.1:8000", {"Sec-Fetch-Site": "cross-site"}),
        ("127.0.0.1:8000", {"Sec-Fetch-Site": "same-site"}),
    ],
)
def test_other_caller(host: str, headers: dict[str, str]) -> None:
    """Without API keys, other machines and a browser's pages are refused."""
    assert refusal((), headers, host) == 403
