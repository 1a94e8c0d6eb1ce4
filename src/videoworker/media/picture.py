"""A caller's picture: from a URL, a data URI or base64 to RGB pixels.

Nothing in it is trusted. Its bytes are counted before they are decoded. They are decoded by a program of its own, with
limits on time and memory. Its format is what the bytes say, whatever the URI says.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn
from urllib.parse import unquote, unquote_to_bytes

import numpy as np
from numpy.typing import NDArray

from videoworker.errors import Code, FieldProblem, JobError
from videoworker.media import confined, picture_decoder
from videoworker.media.base64_text import NotBase64, decode_base64
from videoworker.media.download import DownloadRefused, download, unchecked
from videoworker.media.picture_decoder import Verdict
from videoworker.watch import Watch

MAX_BYTES = 20_000_000
LIMITS = confined.Limits(memory_bytes=1536 * 2**20, seconds=30)

_ALLOWED = "a JPEG, PNG or WebP picture as http(s) URL, data URI or base64"
_QUOTED_CHARACTERS = 50


def decode_picture(image: str, field: str, watch: Watch | None = None) -> NDArray[np.uint8]:
    """The picture in a request's `field`, uint8 [height, width, 3] RGB.

    It is as `picture_decoder.decode` makes it. The watch hears its notes, and is checked several times a second while a
    URL is fetched and the picture is decoded. Raises `JobError`: INVALID_IMAGE naming `field`, or the watch's.
    """
    data = _read(image.strip(), field, unchecked if watch is None else watch.check)
    return _decode(data, _quoted(image), field, watch)


def _read(image: str, field: str, check: Callable[[], None]) -> bytes:
    if ":" not in image[:16]:
        return _decode_base64(image, image, field)
    if image[:5].lower() == "data:":
        header, _, payload = image.partition(",")
        kind, *parameters = header[5:].lower().split(";")
        is_base64 = "base64" in (parameter.strip() for parameter in parameters)
        if not kind.strip().startswith("image/") or not (is_base64 or "%" in payload):
            _refuse(field, _quoted(image), "a data URI must begin with data:image/...;base64,")
        return _decode_base64(unquote(payload), image, field) if is_base64 else unquote_to_bytes(payload)
    try:
        return download(image, MAX_BYTES, check)
    except DownloadRefused as refused:
        _refuse(field, _quoted(image), f"the URL {refused}", refused)


def _decode_base64(payload: str, image: str, field: str) -> bytes:
    if len(payload) * 3 // 4 > 2 * MAX_BYTES:  # half of it may be line breaks
        _refuse(field, _quoted(image), f"a picture holds at most {MAX_BYTES} bytes")
    try:
        data = decode_base64(payload)
    except NotBase64 as error:
        _refuse(field, _quoted(image), f"{_ALLOWED}; {error}", error)
    if len(data) > MAX_BYTES:
        _refuse(field, _quoted(image), f"a picture holds at most {MAX_BYTES} bytes")
    return data


def _decode(data: bytes, given: str, field: str, watch: Watch | None) -> NDArray[np.uint8]:
    check = unchecked if watch is None else watch.check
    try:
        said, pixels = confined.run(Path(picture_decoder.__file__), data, LIMITS, check)
    except confined.Overrun as error:
        seconds, mebibytes = LIMITS.seconds, LIMITS.memory_bytes // 2**20
        _refuse(field, given, f"a picture that is decoded in {seconds} seconds and {mebibytes} MiB of memory", error)
    verdict = Verdict(**json.loads(said))
    if verdict.is_unknown:
        _refuse(field, given, _ALLOWED)
    if verdict.allowed is not None:
        _refuse(field, verdict.given or given, verdict.allowed)
    if watch is not None:
        for note in verdict.notes:
            watch.note(note)
    return np.frombuffer(pixels, np.uint8).reshape(verdict.height, verdict.width, 3)


def _quoted(image: str) -> str:
    """The beginning of `image`. A URL loses its password and query, which may be secret."""
    image = image.strip()
    if "://" in image[:16]:
        image = re.sub(r"(?<=//)[^/]*@", "", image.partition("?")[0])
    return image if len(image) <= _QUOTED_CHARACTERS else f"{image[:_QUOTED_CHARACTERS]}… ({len(image)} characters)"


def _refuse(field: str, given: str, allowed: str, cause: Exception | None = None) -> NoReturn:
    problem = FieldProblem(field, given, allowed)
    raise JobError(Code.INVALID_IMAGE, f"Invalid image: {problem}", (problem,)) from cause
