"""A request's body: read up to a limit and within a deadline, and parsed as strict JSON.

Python parses JSON without a pause, so nothing else runs meanwhile. How long that takes depends on the number of values.
So values are counted before they are parsed.
"""

import asyncio
import json
import math
import sys
from collections.abc import Iterable
from typing import Any

from fastapi import HTTPException, Request
from starlette.requests import ClientDisconnect

from videoworker.http.room import Room

# Between a slow upload of the largest body and an idle connection. 20 MB then need 350 kB/s.
BODY_SECONDS = 60.0

# Commas, colons and opening brackets. Parsing, checking and writing so many takes about a tenth of a second.
MAX_MARKS = 200_000
_MARKS = (b",", b":", b"[", b"{")

_MAX_DEPTH = 200  # far below the depth at which Python's own reader and writer of JSON give up
_MAX_DIGITS = sys.int_info.default_max_str_digits


async def limited_body(request: Request, max_bytes: int, room: Room | None = None) -> bytes:
    """The whole body. Raises `HTTPException` 413 as soon as more than `max_bytes` have arrived, 408 if the body is not
    there after `BODY_SECONDS`, 400 if the caller is gone before that, and 503 if `room` has no more for it."""
    body = bytearray()
    try:
        with (room or Room(max_bytes)).taken() as take:
            async with asyncio.timeout(BODY_SECONDS):
                async for chunk in request.stream():
                    body += chunk
                    if len(body) > max_bytes:
                        raise HTTPException(413, f"The body is larger than {max_bytes} bytes.")
                    take(len(body))
    except TimeoutError:
        raise HTTPException(408, f"The body did not arrive within {BODY_SECONDS:.0f} seconds.") from None
    except ClientDisconnect:
        raise HTTPException(400, "The body broke off.") from None
    return bytes(body)


def parse_json(body: bytes) -> Any:
    """The value that `body` holds. Raises `HTTPException` 413 if it holds too many values, and 400 if it is not JSON or
    holds what we cannot keep. NaN and Infinity are not JSON."""
    if sum(map(body.count, _MARKS)) > MAX_MARKS:
        raise HTTPException(413, f"The body holds more than {MAX_MARKS} commas, colons and opening brackets.")
    try:
        value = json.loads(body, parse_constant=_refuse, parse_int=_integer, parse_float=_number)
    except RecursionError:
        raise _too_deep() from None
    except ValueError:
        raise HTTPException(400, "The body is not JSON.") from None
    if _is_deeper(value, _MAX_DEPTH):
        raise _too_deep()
    return value


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _integer(text: str) -> int:
    digits = len(text.lstrip("-"))
    if digits > _MAX_DIGITS:
        raise HTTPException(400, f"The body holds an integer of {digits} digits; the longest has {_MAX_DIGITS}.")
    return int(text)


def _number(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise HTTPException(400, f"The body holds a number that is too large: {text[:40]}.")
    return number


def _too_deep() -> HTTPException:
    return HTTPException(400, f"The body holds lists or objects that are nested more than {_MAX_DEPTH} deep.")


def _is_deeper(value: Any, depth: int) -> bool:
    """Looks at one level after the other, so it needs no depth itself."""
    level = [value]
    for _ in range(depth):
        level = [inner for outer in level for inner in _members(outer)]
    return any(isinstance(inner, dict | list) for inner in level)


def _members(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()
