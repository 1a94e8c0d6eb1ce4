"""A request's body: read up to a limit, and parsed as strict JSON."""

import json
from typing import Any

from fastapi import HTTPException, Request


async def limited_body(request: Request, max_bytes: int) -> bytes:
    """The whole body. Raises `HTTPException` 413 as soon as more than `max_bytes` have arrived."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > max_bytes:
            raise HTTPException(413, f"The body is larger than {max_bytes} bytes.")
    return bytes(body)


def parse_json(body: bytes) -> Any:
    """The value that `body` holds. Raises `HTTPException` 400 if it is not JSON. NaN and Infinity are not JSON."""
    try:
        return json.loads(body, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise HTTPException(400, "The body is not JSON.") from None


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")
