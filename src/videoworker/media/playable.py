"""Proves that a finished file plays, before anyone is told of it: it is decoded from its first frame to its last."""

from pathlib import Path

import av

from videoworker.errors import Code, JobError
from videoworker.media.file import VideoFormat
from videoworker.watch import Watch


def check_plays(path: Path, format: VideoFormat, watch: Watch) -> None:
    """Raises `JobError`: GENERATION_FAILED unless the file at `path` decodes into all frames of its format, or the
    watch's, which is checked with every frame."""
    num_frames, width, height = format.num_frames, format.canvas.width, format.canvas.height
    try:
        sizes = _decoded_sizes(path, watch)
    except (av.FFmpegError, IndexError, OSError) as error:  # IndexError: no video stream
        raise JobError(Code.GENERATION_FAILED, "The finished video cannot be decoded.") from error
    if len(sizes) != num_frames:
        raise JobError(Code.GENERATION_FAILED, f"The finished video has {len(sizes)} frames instead of {num_frames}.")
    if set(sizes) != {(width, height)}:
        raise JobError(Code.GENERATION_FAILED, f"The finished video is not {width}x{height} in every frame.")


def _decoded_sizes(path: Path, watch: Watch) -> list[tuple[int, int]]:
    with av.open(path) as source:
        stream = source.streams.video[0]
        stream.thread_type = "AUTO"
        # Without this option the decoder conceals what is broken.
        stream.codec_context.options = {"err_detect": "explode"}
        sizes = []
        for frame in source.decode(stream):
            sizes.append((frame.width, frame.height))
            watch.check()
        return sizes
