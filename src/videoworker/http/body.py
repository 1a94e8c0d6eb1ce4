"""A request's body: read up to a limit and within a deadline, and parsed as strict JSON."""

import asyncio
import json
from typing import Any

from fastapi import HTTPException, Request
from starlette.requests import ClientDisconnect

# Between a slow upload of the largest body and an idle connection. 20 MB then need 350 kB/s.
BODY_SECONDS = 60.0


async def limited_body(request: Request, max_bytes: int) -> bytes:
    """The whole body. Raises `HTTPException` 413 as soon as more than `max_bytes` have arrived, 408 if the body is not
    there after `BODY_SECONDS`, and 400 if the caller is gone before that."""
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > max_bytes:
                    raise HTTPException(413, f"The body is larger than {max_bytes} bytes.")
    except TimeoutError:
        raise HTTPException(408, f"The body did not arrive within {BODY_SECONDS:.0f} seconds.") from None
    except ClientDisconnect:
        raise HTTPException(400, "The body broke off.") from None
    return bytes(body)


def parse_json(body: bytes) -> Any:
    """The value that `body` holds. Raises `HTTPException` 400 if it is not JSON. NaN and Infinity are not JSON."""
    try:
        return json.loads(body, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise HTTPException(400, "The body is not JSON.") from None


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")
