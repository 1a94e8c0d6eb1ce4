"""A video's first frame, to be seen before it plays."""

import io
from pathlib import Path

import av


def jpeg(path: Path, xmp: bytes) -> bytes:
    """The first frame of the video file `path` as JPEG, upright, at its size, with `xmp` in it if that is not empty.
    Raises `av.FFmpegError` if there is none."""
    with av.open(path) as source:
        frame = next(source.decode(video=0))
        picture = frame.to_image().rotate(frame.rotation, expand=True)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=90, xmp=xmp)
    return buffer.getvalue()
