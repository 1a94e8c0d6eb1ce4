"""Clips as callers give them: good ones of every kind, and bad ones."""

import base64
import io
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from tempfile import NamedTemporaryFile

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

from tests.media.sounds import tone

X264 = {"preset": "ultrafast", "x264-params": "log-level=none"}
X265 = {"preset": "ultrafast", "x265-params": "log-level=none"}


@dataclass(frozen=True)
class Kind:
    """How a clip is coded. `rotation` is in degrees, anticlockwise."""

    format: str = "mp4"
    encoder: str = "libx264"
    pixels: str = "yuv420p"
    rotation: int = 0
    options: tuple[tuple[str, str], ...] = (("movflags", "+faststart"),)


def shades(num_frames: int, width: int = 64, height: int = 48) -> list[NDArray[np.uint8]]:
    """Red on top and blue below, and on the right a grey that tells the number of the frame."""
    frames = np.zeros((num_frames, height, width, 3), np.uint8)
    frames[:, : height // 2], frames[:, height // 2 :] = (255, 0, 0), (0, 0, 255)
    frames[:, :, width // 2 :] = 20 + np.arange(num_frames)[:, None, None, None] * 200 // num_frames
    return list(frames)


def clip(
    frames: list[NDArray[np.uint8]],
    kind: Kind = Kind(),
    fps: int = 24,
    times: Iterable[int] | None = None,
    sound: bool = False,
) -> bytes:
    """Its frame n is seen at n / fps seconds, or at `times[n]` / fps."""
    with (
        NamedTemporaryFile() as file,
        av.open(file.name, "w", format=kind.format, options=dict(kind.options)) as output,
    ):
        stream = output.add_stream(kind.encoder, rate=fps, options=_options(kind))
        assert isinstance(stream, VideoStream)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = kind.pixels
        stream.codec_context.time_base = Fraction(1, fps)
        if kind.rotation:
            stream.set_display_rotation(kind.rotation)
        track = _track(output, "libopus" if kind.format == "webm" else "aac") if sound else None
        for number, pixels in zip(times or range(len(frames)), frames, strict=True):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, fps)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
        if track is not None:
            _add(output, track, len(frames) / fps)
        output.close()
        return Path(file.name).read_bytes()


def sound_alone() -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as output:
        _add(output, _track(output, "aac"), 1)
    return buffer.getvalue()


def huge(side: int, told: bool) -> bytes:
    """A webm whose picture has next to nothing, and claims `side` pixels each way; its header too if that is `told`."""
    data = clip(shades(2, 320, 256), Kind("webm", "libvpx", options=()))
    start = data.index(b"\x9d\x01\x2a") + 3  # of a keyframe of VP8: RFC 6386, 9.1
    data = data[:start] + 2 * side.to_bytes(2, "little") + data[start + 4 :]
    pixels = b"\xb0\x82%b\xba\x82%b"  # PixelWidth and PixelHeight: RFC 9559
    claimed = pixels % (side.to_bytes(2), side.to_bytes(2))
    return data.replace(pixels % ((320).to_bytes(2), (256).to_bytes(2)), claimed) if told else data


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _options(kind: Kind) -> dict[str, str]:
    return {"libx264": X264, "libx265": X265, "libsvtav1": {"preset": "12"}}.get(kind.encoder, {"cpu-used": "8"})


def _track(output: OutputContainer, encoder: str) -> AudioStream:
    track = output.add_stream(encoder, rate=48000, layout="mono")
    assert isinstance(track, AudioStream)
    return track


def _add(output: OutputContainer, track: AudioStream, seconds: float) -> None:
    samples = tone(seconds, 440)
    frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
    frame.sample_rate = 48000
    output.mux(track.encode(frame))
    output.mux(track.encode(None))
