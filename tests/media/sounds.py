"""Files with sound that the media tests make, and what other programs find in them."""

import json
import subprocess
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.media.pictures import flat
from videoworker.canvas import Canvas
from videoworker.media.file import SAMPLE_RATE, VideoFile, VideoFormat
from videoworker.request import Container


def form(container: Container, num_frames: int, fps: int) -> VideoFormat:
    return VideoFormat(container, Canvas.whole(64, 48), fps, num_frames, has_audio=True)


def silent(path: Path, form: VideoFormat, metadata: dict[str, str] | None = None) -> Path:
    """The picture of a file, which moves."""
    with VideoFile(path, form, metadata) as file:
        for number in range(form.num_frames):
            frame = flat(64, 48, (40, 60, 200))
            frame[8:24, number % 48 : number % 48 + 16] = (230, 200, 40)
            file.write(frame)
        file.close()
    return path


def tone(seconds: float, hertz: float, amplitude: float = 0.5) -> NDArray[np.float32]:
    """[1, samples]."""
    times = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return (amplitude * np.sin(2 * np.pi * hertz * times)).astype(np.float32)[None]


def probe(path: Path, *options: str) -> Any:
    return json.loads(subprocess.check_output(["ffprobe", "-v", "error", *options, "-of", "json", str(path)]))


def heard(path: Path) -> NDArray[np.float32]:
    """What a player makes of the sound: [samples], where 1 is full scale."""
    raw = subprocess.check_output(["ffmpeg", "-v", "error", "-i", str(path), "-vn", "-f", "f32le", "-"])
    return np.frombuffer(raw, np.float32)


def check_together(path: Path, num_frames: int, fps: int) -> None:
    """Picture and sound begin at 0 and have exactly the same length."""
    seconds = Fraction(num_frames, fps)
    picture, sound = probe(path, "-show_streams")["streams"]
    assert (picture["start_time"], sound["sample_rate"]) == ("0.000000", str(SAMPLE_RATE))
    if path.suffix == ".webm":  # it counts the 6.5 ms before 0 that Opus begins with, and its clock has milliseconds
        assert sound["start_time"] == "-0.007000"
        assert len(heard(path)) == seconds * SAMPLE_RATE
        moments = [int(moment) for moment, *_ in pictures(path)]
        assert len(moments) == num_frames and abs(moments[-1] - 1000 * (seconds - Fraction(1, fps))) <= 1
    else:
        assert sound["start_time"] == "0.000000"
        for stream in (picture, sound):
            assert stream["duration_ts"] * Fraction(stream["time_base"]) == seconds


def pitch(samples: NDArray[np.float32]) -> float:
    """The strongest frequency, in hertz."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(spectrum.argmax() * SAMPLE_RATE / len(samples))


def pictures(path: Path) -> list[tuple[str, str, str]]:
    """The picture's packets: time, whether it is a keyframe, and digest of the bytes."""
    wanted = ["-select_streams", "v", "-show_packets", "-show_data_hash", "sha256"]
    return [(packet["pts"], packet["flags"], packet["data_hash"]) for packet in probe(path, *wanted)["packets"]]
