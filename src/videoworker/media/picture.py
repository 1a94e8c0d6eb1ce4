"""A caller's picture: from a URL, a data URI or base64 to RGB pixels.

Nothing in it is trusted. Its bytes are counted before they are decoded. They are decoded by a program of its own, with
limits on time and memory. Its format is what the bytes say, whatever the URI says.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
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

PICTURE = given.Kind(
    code=Code.INVALID_IMAGE,
    name="image",
    noun="a picture",
    allowed="a JPEG, PNG or WebP picture as http(s) URL, data URI or base64",
    max_bytes=MAX_BYTES,
)


@dataclass(frozen=True)
class Decoded:
    """A picture as `picture_decoder.decode` makes it: uint8 [height, width, 3] RGB."""

    verdict: Verdict
    pixels: NDArray[np.uint8]


def decode_picture(image: str, field: str, watch: Watch | None = None) -> NDArray[np.uint8]:
    """The picture in a request's `field`, uint8 [height, width, 3] RGB.

    It is as `picture_decoder.decode` makes it. The watch hears its notes, and is checked several times a second while a
    URL is fetched and the picture is decoded. Raises `JobError`: INVALID_IMAGE naming `field`, or the watch's.
    """
    check = unchecked if watch is None else watch.check
    picture = decoded(given.read(image, PICTURE, field, check), given.quoted(image), field, check)
    if watch is not None:
        for note in picture.verdict.notes:
            watch.note(note)
    return picture.pixels


def decoded(data: bytes, text: str, field: str, check: Callable[[], None]) -> Decoded:
    """The picture in a request's `field`; `text` is how an error quotes it.

    `check` is called several times a second; what it raises ends the decoding. Raises `JobError` INVALID_IMAGE that
    names `field`.
    """
    try:
        said, pixels = confined.run(Path(picture_decoder.__file__), data, LIMITS, check)
    except confined.Overrun as error:
        seconds, mebibytes = LIMITS.seconds, LIMITS.memory_bytes // 2**20
        allowed = f"a picture that is decoded in {seconds} seconds and {mebibytes} MiB of memory"
        PICTURE.refuse(field, text, allowed, error)
    verdict = Verdict(**json.loads(said))
    if verdict.is_unknown:
        PICTURE.refuse(field, text, PICTURE.allowed)
    if verdict.allowed is not None:
        PICTURE.refuse(field, verdict.given or text, verdict.allowed)
    return Decoded(verdict, np.frombuffer(pixels, np.uint8).reshape(verdict.height, verdict.width, 3))
