"""The video file: takes RGB frames one by one and becomes a finished mp4 or webm.

Frames are cropped, scaled, converted and encoded as they come, while the next ones are made. None is kept. The file
grows under a temporary name beside its target. It takes the target's name only when it is whole.

Ownership: a thread of the file's own encodes. Nothing else touches the encoder until that thread has no frame left.
"""

import hashlib
import os
from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import av
import numpy as np
from av.codec.context import Flags
from av.container import Flags as ContainerFlags
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc, Interpolation, VideoReformatter
from numpy.typing import NDArray

from videoworker.canvas import Canvas
from videoworker.errors import Code, JobError
from videoworker.request import Container, Quality

_ENCODERS: dict[Container, str] = {"mp4": "libx264", "webm": "libvpx-vp9"}
_CODECS: dict[Container, str] = {"mp4": "h264", "webm": "vp9"}

# Constant rate factors, on each encoder's own scale. FFmpeg's encoding guides call 17-28 the sane range of x264 and
# 15-35 that of VP9. At "medium", flat areas of every primary colour come back within 3 of 255 levels.
CRF: dict[Container, dict[Quality, int]] = {
    "mp4": {"low": 28, "medium": 20, "high": 16},
    "webm": {"low": 38, "medium": 30, "high": 22},
}
CRF_RANGE: dict[Container, tuple[int, int]] = {"mp4": (0, 51), "webm": (0, 63)}
_LEAST_X264_CRF = 1  # less means lossless to x264, which the High profile does not have; this is the next best

# In bits per pixel. This limit makes VP9's constant quality a constrained one. It lies between the 5 Mbit/s at 720p and
# the 8 Mbit/s at 1080p that YouTube recommends for uploads of 24 to 30 frames a second.
_VP9_BITS_PER_PIXEL = 0.2

# Of the sound, which has one channel.
SAMPLE_RATE = 48_000
SOUND_BITS_PER_SECOND: dict[Container, int] = {"mp4": 160_000, "webm": 96_000}
SOUND_TOLERANCE = 0.005  # seconds by which its length may differ from the picture's: a webm counts milliseconds

_LONGEST_GOP_SECONDS = 2
_MOST_THREADS = 16  # libavcodec's limit if it sets the number itself (MAX_AUTO_THREADS)
_MOST_WAITING = 16  # frames


@dataclass(frozen=True)
class Finished:
    """A file that is complete and does not change any more. `file_size` is in bytes."""

    file_size: int
    sha256: str

    @classmethod
    def at(cls, path: Path) -> Self:
        with path.open("rb") as file:
            return cls(path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest())


class Content(Protocol):
    """What a finished file has, however it was made. Its sides are in pixels, of upright frames; `duration` is in
    seconds."""

    @property
    def container(self) -> Container: ...
    @property
    def codec(self) -> str: ...
    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def num_frames(self) -> int: ...
    @property
    def fps(self) -> int | Fraction: ...
    @property
    def duration(self) -> float: ...
    @property
    def has_audio(self) -> bool: ...


@dataclass(frozen=True)
class VideoFormat:
    """What a file has, and what frames it is made from.

    `canvas` says how its pictures are cut out of frames. Their sides are even, since 4:2:0 halves them. `fps` and
    `num_frames` are exact. `crf` takes the place of `quality` and must lie in `CRF_RANGE`. `has_audio` says that sound
    is added when the picture is finished. Raises ValueError if no file can have this size, rate, count or crf.
    """

    container: Container
    canvas: Canvas
    fps: int
    num_frames: int
    quality: Quality = "medium"
    crf: int | None = None
    has_audio: bool = False

    def __post_init__(self) -> None:
        width, height, fps, num_frames = self.canvas.width, self.canvas.height, self.fps, self.num_frames
        if width % 2 or height % 2 or min(width, height, fps, num_frames) < 1:
            raise ValueError(f"no video has {num_frames} frames of {width}x{height} at {fps} fps in 4:2:0")
        lowest, highest = CRF_RANGE[self.container]
        if not lowest <= self.rate_factor <= highest:
            raise ValueError(f"crf of {self.container} is {lowest} to {highest}, not {self.rate_factor}")

    @property
    def rate_factor(self) -> int:
        """The constant rate factor, on the encoder's own scale."""
        return CRF[self.container][self.quality] if self.crf is None else self.crf

    @property
    def codec(self) -> str:
        return _CODECS[self.container]

    @property
    def width(self) -> int:
        return self.canvas.width

    @property
    def height(self) -> int:
        return self.canvas.height

    @property
    def duration(self) -> float:
        """In seconds."""
        return self.num_frames / self.fps

    @property
    def pixels(self) -> int:
        """How many pixels all pictures have together."""
        return self.canvas.width * self.canvas.height * self.num_frames


class VideoFile:
    """Writes one file. `metadata` goes into the container's tags.

    Use it as a context manager and call `close()` inside it. If the block ends without `close()`, by an exception or
    otherwise, nothing is left on disk.
    """

    def __init__(self, path: Path, format: VideoFormat, metadata: Mapping[str, str] | None = None) -> None:
        self._path, self._partial = path, path.with_name(f"{path.name}.part")
        self._format, self._written = format, 0
        self._threads = min(len(os.sched_getaffinity(0)), _MOST_THREADS)
        self._encoder, self._waiting = ThreadPoolExecutor(1, "encode"), deque[Future[None]]()
        self._reformatter = VideoReformatter()
        self._output = av.open(self._partial, "w", format=format.container, options=_container_options(format))
        self._output.flags |= ContainerFlags.bitexact.value  # no dates, no random ids: same frames, same bytes
        self._output.metadata.update(metadata or {})
        encoder = _ENCODERS[format.container]
        self._stream = self._output.add_stream(encoder, rate=format.fps, options=_codec_options(format))
        self._configure()

    def _configure(self) -> None:
        context, format = self._stream.codec_context, self._format
        context.width, context.height, context.pix_fmt = format.canvas.width, format.canvas.height, "yuv420p"
        context.time_base = self._stream.time_base = Fraction(1, format.fps)
        context.gop_size = _LONGEST_GOP_SECONDS * format.fps
        context.flags |= Flags.closed_gop
        context.colorspace = Colorspace.ITU709
        context.color_primaries = ColorPrimaries.BT709
        context.color_trc = ColorTrc.BT709
        context.color_range = ColorRange.MPEG
        context.thread_count = self._threads
        if format.container == "webm":
            context.bit_rate = round(format.canvas.width * format.canvas.height * format.fps * _VP9_BITS_PER_PIXEL)

    def write(self, frame: NDArray[np.uint8]) -> None:
        """Adds one native frame of the canvas, uint8 [native_height, native_width, 3] RGB, which does not change any
        more. It is encoded later. If many wait, this waits for the first of them."""
        if len(self._waiting) == _MOST_WAITING:
            self._waiting.popleft().result()
        self._waiting.append(self._encoder.submit(self._encode, frame, self._written))
        self._written += 1

    def _encode(self, frame: NDArray[np.uint8], number: int) -> None:
        canvas = self._format.canvas
        picture = self._reformatter.reformat(
            av.VideoFrame.from_ndarray(np.ascontiguousarray(canvas.crop(frame)), format="rgb24"),
            canvas.width,
            canvas.height,
            "yuv420p",
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.MPEG,
            interpolation=Interpolation.LANCZOS | Interpolation.ACCURATE_RND,
            threads=self._threads,
        )
        picture.pts, picture.time_base = number, Fraction(1, self._format.fps)
        self._output.mux(self._stream.encode(picture))

    def close(self) -> None:
        """Finishes the file and gives it its name. Raises `JobError` if frames are missing."""
        for waiting in self._waiting:
            waiting.result()
        num_frames = self._format.num_frames
        if self._written != num_frames:
            raise JobError(Code.GENERATION_FAILED, f"The video has {self._written} frames instead of {num_frames}.")
        self._output.mux(self._stream.encode(None))
        self._output.close()
        self._partial.replace(self._path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._encoder.shutdown(cancel_futures=True)
        try:
            self._output.close()
        finally:
            self._partial.unlink(missing_ok=True)


def _container_options(format: VideoFormat) -> dict[str, str]:
    if format.container == "webm":
        return {}
    # Both clocks of the file, the track's and the movie's, tick a whole number of times per frame. The muxer's default
    # for the movie's, 1000 ticks a second, would round the duration.
    clock = str(format.fps * 512)
    return {
        "movflags": "+faststart+use_metadata_tags",
        "video_track_timescale": clock,
        "movie_timescale": clock,
    }


def _codec_options(format: VideoFormat) -> dict[str, str]:
    # For each encoder the fastest preset that does not lose quality by it. VP9 takes about twice x264's time.
    crf = format.rate_factor
    if format.container == "mp4":
        return {"preset": "veryfast", "profile": "high", "crf": str(max(crf, _LEAST_X264_CRF))}
    return {"crf": str(crf), "deadline": "good", "cpu-used": "5", "row-mt": "1", "tile-columns": "2"}
