"""A caller's clip: from a URL, a data URI or base64 to its frames and to a file with its picture alone.

Nothing in it is trusted. Its bytes are counted before they are looked into. That is done by a program of its own, with
limits on time and memory. Its format is what the bytes say, whatever the URI says.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from videoworker.errors import Code
from videoworker.media import clip_decoder, confined, given
from videoworker.media.clip_decoder import MAX_BYTES, Verdict
from videoworker.request import Container
from videoworker.watch import Watch

LIMITS = confined.Limits(memory_bytes=2 * 2**30, seconds=120)

_PROGRAM = Path(clip_decoder.__file__)
_CLIP = given.Kind(
    code=Code.INVALID_VIDEO,
    name="video",
    noun="a clip",
    allowed="an mp4, mov, webm or mkv clip as http(s) URL, data URI or base64",
    max_bytes=MAX_BYTES,
    max_seconds=120.0,
)


@dataclass(frozen=True)
class GivenClip:
    """A clip that was decoded whole, and its file as it will be when it has sound.

    `data` is what was given. `picture` is the file before it has sound: it has the packets of the clip's picture and
    nothing else. `width` and `height` are of upright frames. `duration` is in seconds.
    """

    field: str
    data: bytes
    picture: bytes
    container: Container
    codec: str
    width: int
    height: int
    fps: Fraction
    num_frames: int
    duration: float

    @property
    def has_audio(self) -> bool:
        """That of the file, for which a clip is given."""
        return True


def read_clip(video: str, field: str, watch: Watch) -> GivenClip:
    """The clip in a request's `field`. The watch hears notes, and is checked several times a second.

    Raises `JobError`: INVALID_VIDEO naming `field`, or the watch's.
    """
    data = given.read(video, _CLIP, field, watch.check)
    text = given.quoted(video)
    try:
        said, picture = confined.run(_PROGRAM, data, LIMITS, watch.check)
    except confined.Overrun as error:
        _CLIP.refuse(field, text, _decodable(), error)
    verdict = Verdict(**json.loads(said))
    if verdict.is_unknown:
        _CLIP.refuse(field, text, _CLIP.allowed)
    if verdict.allowed is not None:
        _CLIP.refuse(field, verdict.given or text, verdict.allowed)
    for note in verdict.notes:
        watch.note(note)
    return GivenClip(
        field,
        data,
        bytes(picture),
        "webm" if verdict.container == "webm" else "mp4",
        verdict.codec,
        verdict.width,
        verdict.height,
        Fraction(verdict.fps),
        verdict.num_frames,
        verdict.duration,
    )


def frames_of(clip: GivenClip, watch: Watch) -> Iterator[NDArray[np.uint8]]:
    """Its frames, uint8 [height, width, 3] RGB, upright, `clip.fps` of them a second.

    They are decoded as they are taken: no more than a few are in memory. While one is awaited, the watch is checked
    several times a second. Raises `JobError`: INVALID_VIDEO, or the watch's.
    """
    command = [str(_PROGRAM), str(clip.fps), str(clip.num_frames)]
    size = clip.width * clip.height * 3
    try:
        for piece in confined.pieces(command, clip.picture, LIMITS, watch.check, size):
            yield np.frombuffer(piece, np.uint8).reshape(clip.height, clip.width, 3)
    except confined.Overrun as error:
        _CLIP.refuse(clip.field, f"{clip.num_frames} frames of {clip.width}x{clip.height}", _decodable(), error)


def _decodable() -> str:
    return f"a clip that is decoded in {LIMITS.seconds} seconds and {LIMITS.memory_bytes // 2**20} MiB of memory"
