"""A request's form, multipart or urlencoded: read up to a limit and within a deadline."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import HTTPException, Request
from starlette.datastructures import UploadFile
from starlette.types import Message

from videoworker.http.body import BODY_SECONDS
from videoworker.http.room import Room

_KINDS = ("multipart/form-data", "application/x-www-form-urlencoded")
_MAX_FIELDS = 100
_MAX_FILES = 4


def is_form(request: Request) -> bool:
    """Whether the body is one, by its content type."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower() in _KINDS


@asynccontextmanager
async def limited_form(request: Request, max_bytes: int, room: Room) -> AsyncIterator[dict[str, str | UploadFile]]:
    """The fields by name: texts and files, which are closed at the end of the block. A large file lies on the disk.

    A file without a name and content is none: browsers send that if no file was chosen. Raises `HTTPException` 400 if
    the body is no form, breaks off or has a field twice, 413 as soon as more than `max_bytes` have arrived, 408 if
    it is not there after `BODY_SECONDS`, and 503 if `room` has no more for it.
    """
    if not is_form(request):
        raise HTTPException(400, f"The body must be a form: {' or '.join(_KINDS)}.")
    received = 0

    async def receive() -> Message:
        nonlocal received
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise HTTPException(400, "The body broke off.")
        received += len(message.get("body", b""))
        if received > max_bytes:
            raise HTTPException(413, f"The body is larger than {max_bytes} bytes.")
        take(received)
        return message

    with room.taken() as take:
        counted = Request(request.scope, receive)
        try:
            async with asyncio.timeout(BODY_SECONDS):
                await counted.form(max_files=_MAX_FILES, max_fields=_MAX_FIELDS, max_part_size=max_bytes)
        except TimeoutError:
            raise HTTPException(408, f"The body did not arrive within {BODY_SECONDS:.0f} seconds.") from None
        async with counted.form() as form:
            fields = [(name, value) for name, value in form.multi_items() if not _is_none(value)]
            names = [name for name, _ in fields]
            if twice := next((name for name in names if names.count(name) > 1), None):
                raise HTTPException(400, f"{twice[:80]}: given twice.")
            yield dict(fields)


def _is_none(value: str | UploadFile) -> bool:
    return isinstance(value, UploadFile) and not value.filename and not value.size
