"""A caller's picture: from a URL, a data URI or base64 to RGB pixels.

Nothing in it is trusted. Its bytes are counted before they are decoded. They are decoded by a program of its own, with
limits on time and memory. Its format is what the bytes say, whatever the URI says.
"""

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from videoworker.errors import Code
from videoworker.media import confined, given, picture_decoder
from videoworker.media.download import unchecked
from videoworker.media.picture_decoder import Verdict
from videoworker.watch import Watch

MAX_BYTES = 20_000_000
LIMITS = confined.Limits(memory_bytes=1536 * 2**20, seconds=30)

_PICTURE = given.Kind(
    code=Code.INVALID_IMAGE,
    name="image",
    noun="a picture",
    allowed="a JPEG, PNG or WebP picture as http(s) URL, data URI or base64",
    max_bytes=MAX_BYTES,
)


def decode_picture(image: str, field: str, watch: Watch | None = None) -> NDArray[np.uint8]:
    """The picture in a request's `field`, uint8 [height, width, 3] RGB.

    It is as `picture_decoder.decode` makes it. The watch hears its notes, and is checked several times a second while a
    URL is fetched and the picture is decoded. Raises `JobError`: INVALID_IMAGE naming `field`, or the watch's.
    """
    data = given.read(image, _PICTURE, field, unchecked if watch is None else watch.check)
    return _decode(data, given.quoted(image), field, watch)


def _decode(data: bytes, text: str, field: str, watch: Watch | None) -> NDArray[np.uint8]:
    check = unchecked if watch is None else watch.check
    try:
        said, pixels = confined.run(Path(picture_decoder.__file__), data, LIMITS, check)
    except confined.Overrun as error:
        seconds, mebibytes = LIMITS.seconds, LIMITS.memory_bytes // 2**20
        allowed = f"a picture that is decoded in {seconds} seconds and {mebibytes} MiB of memory"
        _PICTURE.refuse(field, text, allowed, error)
    verdict = Verdict(**json.loads(said))
    if verdict.is_unknown:
        _PICTURE.refuse(field, text, _PICTURE.allowed)
    if verdict.allowed is not None:
        _PICTURE.refuse(field, verdict.given or text, verdict.allowed)
    if watch is not None:
        for note in verdict.notes:
            watch.note(note)
    return np.frombuffer(pixels, np.uint8).reshape(verdict.height, verdict.width, 3)
