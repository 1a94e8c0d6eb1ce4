"""Proves that a finished file plays, before anyone is told of it: it is decoded from its first frame to its last."""

from dataclasses import dataclass, field
from pathlib import Path

import av
import numpy as np

from videoworker.errors import Code, JobError
from videoworker.media.file import SAMPLE_RATE, SOUND_TOLERANCE, Content
from videoworker.watch import Watch

_SAMPLES_OF_A_PACKET = 1024  # of AAC: some decoders play the last one to its end


def check_plays(path: Path, content: Content, watch: Watch) -> None:
    """Raises `JobError`: GENERATION_FAILED unless the file at `path` decodes into all frames of its content, and into
    as much sound if it is to have any, or the watch's, which is checked with every frame."""
    num_frames, width, height = content.num_frames, content.width, content.height
    try:
        found = _decoded(path, watch)
    except (av.FFmpegError, IndexError, OSError) as error:  # IndexError: no video stream
        raise JobError(Code.GENERATION_FAILED, "The finished video cannot be decoded.") from error
    sizes = found.sizes
    if len(sizes) != num_frames:
        raise JobError(Code.GENERATION_FAILED, f"The finished video has {len(sizes)} frames instead of {num_frames}.")
    if set(sizes) != {(width, height)}:
        raise JobError(Code.GENERATION_FAILED, f"The finished video is not {width}x{height} in every frame.")
    _check_sound(found, content)


@dataclass
class _Found:
    """What a file decodes into. `sizes` are of its frames when they are upright, `samples` is the length of all sound
    tracks together."""

    sizes: list[tuple[int, int]] = field(default_factory=list)
    sound_tracks: int = 0
    samples: int = 0
    is_finite: bool = True


def _check_sound(found: _Found, content: Content) -> None:
    if found.sound_tracks != int(content.has_audio):
        raise JobError(Code.GENERATION_FAILED, f"The finished video has {found.sound_tracks} sound tracks.")
    if not content.has_audio:
        return
    if not found.is_finite:
        raise JobError(Code.GENERATION_FAILED, "The finished video's sound has samples that are not numbers.")
    seconds = found.samples / SAMPLE_RATE
    longest = content.duration + SOUND_TOLERANCE + _SAMPLES_OF_A_PACKET / SAMPLE_RATE
    if not content.duration - SOUND_TOLERANCE <= seconds <= longest:
        raise JobError(
            Code.GENERATION_FAILED,
            f"The finished video's sound has {seconds:.3f} seconds instead of {content.duration:.3f}.",
        )


def _decoded(path: Path, watch: Watch) -> _Found:
    found = _Found()
    with av.open(path) as source:
        picture, sounds = source.streams.video[0], source.streams.audio
        picture.thread_type = "SLICE"  # decoded by threads, frames would wait for a broken one for ever
        for stream in (picture, *sounds):
            # Without this option the decoder conceals what is broken.
            stream.codec_context.options = {"err_detect": "explode"}
        found.sound_tracks = len(sounds)
        for frame in source.decode(picture, *sounds):
            if isinstance(frame, av.VideoFrame):
                size = (frame.width, frame.height)
                found.sizes.append(size[::-1] if frame.rotation % 180 else size)
            elif isinstance(frame, av.AudioFrame):
                found.samples += frame.samples
                found.is_finite &= bool(np.isfinite(frame.to_ndarray()).all())
            watch.check()
    return found
