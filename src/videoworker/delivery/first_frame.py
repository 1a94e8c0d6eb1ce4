"""The picture that stands for a video before it plays: its first frame."""

import io
from pathlib import Path

import av


def jpeg(path: Path) -> bytes:
    """The first frame of the video file `path`, at its size. Raises `av.FFmpegError` where there is none."""
    with av.open(path) as source:
        picture = next(source.decode(video=0)).to_image()
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()
