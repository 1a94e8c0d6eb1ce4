"""Which latents are made together, and which frames of the video they are made from. Numbers alone.

The model was trained on 8 seconds. Up to 10 seconds are made as one window. A longer sound is made in windows of 8
seconds, one every 6.4 seconds. The last one ends with the sound. Times are exact fractions, so that nothing drifts.
"""

from dataclasses import dataclass
from fractions import Fraction
from math import ceil

from videoworker.families.sound_family import Footage

LATENTS_PER_SECOND = 50
PICTURES_PER_SECOND, SYNC_FRAMES_PER_SECOND = 8, 25
SEGMENT_FRAMES, SEGMENT_STRIDE = 16, 8  # of the video encoder, at 25 frames a second

_LONGEST_WHOLE = 10 * LATENTS_PER_SECOND
_WINDOW = 8 * LATENTS_PER_SECOND
_STRIDE = 32 * LATENTS_PER_SECOND // 5
OVERLAP = _WINDOW - _STRIDE


@dataclass(frozen=True)
class Window:
    """Latents `start` to `start + length`. `pictures` are the numbers of the frames that show what is to be heard.
    `segments` are those of the frames that show when, `SEGMENT_FRAMES` for each. A slow video has some frames twice."""

    start: int
    length: int
    pictures: tuple[int, ...]
    segments: tuple[tuple[int, ...], ...]


def num_latents(footage: Footage) -> int:
    """As many as cover the video."""
    return ceil(footage.seconds * LATENTS_PER_SECOND)


def windows(footage: Footage) -> tuple[Window, ...]:
    """In the order of their starts. Together they have every latent."""
    count = num_latents(footage)
    if count <= _LONGEST_WHOLE:
        return (_window(footage, 0, count, footage.seconds),)
    last = count - _WINDOW
    starts = [*range(0, last, _STRIDE), last]
    return tuple(_window(footage, start, _WINDOW, Fraction(_WINDOW, LATENTS_PER_SECOND)) for start in starts)


def _window(footage: Footage, start: int, length: int, seconds: Fraction) -> Window:
    begin = Fraction(start, LATENTS_PER_SECOND)
    pictures = max(round(seconds * PICTURES_PER_SECOND), 1)
    sync_frames = max(round(seconds * SYNC_FRAMES_PER_SECOND), 1)
    segments = max((sync_frames - SEGMENT_FRAMES) // SEGMENT_STRIDE + 1, 1)
    return Window(
        start,
        length,
        pictures=tuple(_frame_at(footage, begin + Fraction(k, PICTURES_PER_SECOND)) for k in range(pictures)),
        segments=tuple(
            tuple(
                _frame_at(footage, begin + Fraction(min(k, sync_frames - 1), SYNC_FRAMES_PER_SECOND))
                for k in range(first, first + SEGMENT_FRAMES)
            )
            for first in range(0, segments * SEGMENT_STRIDE, SEGMENT_STRIDE)
        ),
    )


def _frame_at(footage: Footage, seconds: Fraction) -> int:
    """The number of the first frame that is not before this moment, or of the last frame."""
    return min(ceil(seconds * footage.fps), footage.num_frames - 1)
