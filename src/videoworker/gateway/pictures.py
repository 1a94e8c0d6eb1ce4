"""A caller's picture as a request carries it: as text, and not larger than the endpoint takes."""

import asyncio
import base64
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from starlette.datastructures import UploadFile

from videoworker.media.base64_text import NotBase64, decode_base64
from videoworker.media.picture import MAX_BYTES, PICTURE
from videoworker.media.smaller import smaller

Box = tuple[int, int]

MOST_FORM_BYTES = MAX_BYTES + 100_000  # a picture, and the fields beside it

# What is left of RunPod's 10 MB for a job, in base64, with a prompt beside it.
_CARRIED_BYTES = 7_000_000
_CARRIED_CHARACTERS = _CARRIED_BYTES * 4 // 3

_SIGNATURES = {b"\xff\xd8\xff": "jpeg", b"\x89PNG\r\n\x1a\n": "png", b"RIFF": "webp"}

# A large picture takes much memory for a moment, so not all are read at once.
_few_at_a_time = ThreadPoolExecutor(2, thread_name_prefix="picture")


async def carried(picture: str | UploadFile, field: str, box: Box) -> str:
    """The picture in a request's `field` as text that a job can carry.

    If it is too large, it is scaled down; it still covers `box`, the (width, height) of the video, if it did so before.
    Raises `JobError` INVALID_IMAGE that names `field`. A picture that is carried as it came may still be refused by the
    worker.
    """
    if isinstance(picture, str):
        if len(picture) <= _CARRIED_CHARACTERS or "://" in picture[:16]:
            return picture
        work = partial(_of_text, picture, field, box)
    else:
        work = partial(_of_file, picture, field, box)
    return await asyncio.get_running_loop().run_in_executor(_few_at_a_time, work)


def _of_file(upload: UploadFile, field: str, box: Box) -> str:
    told = f"a file of {upload.size} bytes"
    if (upload.size or 0) > MAX_BYTES:
        PICTURE.refuse(field, told, f"a picture holds at most {MAX_BYTES} bytes")
    data = upload.file.read()
    kind = next((kind for signature, kind in _SIGNATURES.items() if data.startswith(signature)), None)
    if kind is None:
        PICTURE.refuse(field, told, "a JPEG or PNG file")
    if len(data) > _CARRIED_BYTES:
        return _scaled(data, field, box)
    return _uri(data, kind)


def _of_text(text: str, field: str, box: Box) -> str:
    try:
        return _scaled(decode_base64(text.rpartition(",")[2]), field, box)
    except NotBase64 as error:
        PICTURE.refuse(field, f"{len(text)} characters", f"{PICTURE.allowed}; {error}", error)


def _scaled(data: bytes, field: str, box: Box) -> str:
    return _uri(smaller(data, field, box, _CARRIED_BYTES), "jpeg")


def _uri(data: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
