"""A video's first frame, to be seen before it plays."""

import io
from pathlib import Path

import av


def jpeg(path: Path, xmp: bytes) -> bytes:
    """The first frame of the video file `path` as JPEG, at its size, with `xmp` in it if that is not empty. Raises
    `av.FFmpegError` if there is none."""
    with av.open(path) as source:
        picture = next(source.decode(video=0)).to_image()
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=90, xmp=xmp)
    return buffer.getvalue()
