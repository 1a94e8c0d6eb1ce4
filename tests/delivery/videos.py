"""Finished videos and their results, made without a model."""

import hashlib
import struct
from pathlib import Path

import numpy as np

from videoworker.canvas import Canvas
from videoworker.media.file import VideoFile, VideoFormat
from videoworker.request import Container, Result, Video, VideoRequest

COLOUR = (30, 160, 60)  # of every frame
WIDTH, HEIGHT = 96, 64
REQUEST = VideoRequest(api="native", prompt="a secret wish")


def file(folder: Path, container: Container = "mp4", num_bytes: int = 0) -> Path:
    """A video that plays; of `num_bytes` where that is said (more than it needs)."""
    path = folder / f"made.{container}"
    with VideoFile(path, VideoFormat(container, Canvas.whole(WIDTH, HEIGHT), 12, 3)) as video:
        for _ in range(3):
            video.write(np.full((HEIGHT, WIDTH, 3), COLOUR, np.uint8))
        video.close()
    if num_bytes:  # a box that players skip
        size = num_bytes - path.stat().st_size
        content = (bytes(range(256)) * (size // 256 + 1))[: size - 8]
        with path.open("ab") as end:
            end.write(struct.pack(">I4s", size, b"free") + content)
    return path


def result(path: Path, job_id: str = "job-1", request: VideoRequest = REQUEST) -> Result:
    """What is to be reported of `path` before it is delivered."""
    content = path.read_bytes()
    container: Container = "webm" if path.suffix == ".webm" else "mp4"
    video = Video(
        url="",
        container=container,
        codec="h264",
        width=WIDTH,
        height=HEIGHT,
        num_frames=3,
        fps=12,
        duration=0.25,
        file_size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        seed=7,
        model="sketch",
        model_revision="abc",
        steps=2,
        guidance_scale=6.0,
        has_audio=False,
        notes=["A note."],
    )
    return Result(job_id, request, video, {"denoise": 1.5, "total": 2.0}, 1_000_000.0, 1_000_002.0)
