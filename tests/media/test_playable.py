"""Files that play, and files that do not."""

from pathlib import Path

import numpy as np
import pytest

from tests.media.pictures import flat
from videoworker.canvas import Canvas
from videoworker.errors import Code, JobError
from videoworker.media.file import VideoFile, VideoFormat
from videoworker.media.playable import check_plays
from videoworker.request import Container
from videoworker.watch import Watch

both = pytest.mark.parametrize("container", ["mp4", "webm"])


def watch() -> Watch:
    return Watch("a", lambda _: None, 1000.0)


def form(container: Container, num_frames: int = 13, width: int = 64, height: int = 48) -> VideoFormat:
    return VideoFormat(container, Canvas.whole(width, height), 24, num_frames)


def noise(path: Path, container: Container) -> Path:
    random = np.random.default_rng(0)
    with VideoFile(path, form(container)) as file:
        for _ in range(13):
            file.write(random.integers(0, 255, (48, 64, 3), dtype=np.uint8))
        file.close()
    return path


def refusal(path: Path, num_frames: int = 13, width: int = 64, height: int = 48) -> str:
    with pytest.raises(JobError) as raised:
        check_plays(path, form("mp4", num_frames, width, height), watch())
    assert raised.value.code is Code.GENERATION_FAILED
    assert str(path.parent) not in raised.value.message
    return raised.value.message


@both
def test_a_whole_file_plays(tmp_path: Path, container: Container) -> None:
    check_plays(noise(tmp_path / "video", container), form(container), watch())


@both
def test_a_cancel_ends_the_reading(tmp_path: Path, container: Container) -> None:
    cancelled = watch()
    cancelled.cancel.set()
    with pytest.raises(JobError) as raised:
        check_plays(noise(tmp_path / "video", container), form(container), cancelled)
    assert raised.value.code is Code.CANCELLED


@both
@pytest.mark.parametrize("num_frames", [12, 14])
def test_another_number_of_frames_is_noticed(tmp_path: Path, container: Container, num_frames: int) -> None:
    assert f"13 frames instead of {num_frames}" in refusal(noise(tmp_path / "video", container), num_frames)


@both
def test_another_size_is_noticed(tmp_path: Path, container: Container) -> None:
    path = noise(tmp_path / "video", container)
    assert "66x48" in refusal(path, width=66)
    assert "64x46" in refusal(path, height=46)


@both
@pytest.mark.parametrize("kept", [0.0, 0.02, 0.5, 0.98])
def test_a_file_cut_short_does_not_play(tmp_path: Path, container: Container, kept: float) -> None:
    path = noise(tmp_path / "video", container)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])
    refusal(path)


@both
def test_a_file_with_a_hole_in_its_first_frame_does_not_play(tmp_path: Path, container: Container) -> None:
    path = noise(tmp_path / "video", container)
    data = bytearray(path.read_bytes())
    start = data.index(b"mdat") + 4 if container == "mp4" else data.index(b"\x1fC\xb6u") + 4  # webm: first cluster
    data[start : start + 1500] = bytes(1500)
    path.write_bytes(data)
    refusal(path)


def test_damage_that_a_decoder_would_paint_over_does_not_play(tmp_path: Path) -> None:
    path = noise(tmp_path / "video", "mp4")
    data = bytearray(path.read_bytes())
    inside = data.index(b"mdat") + 1000  # within the first frame's coded picture, behind all headers
    data[inside : inside + 100] = bytes(100)
    path.write_bytes(data)
    assert "cannot be decoded" in refusal(path)


def test_what_is_no_video_does_not_play(tmp_path: Path) -> None:
    path = tmp_path / "video"
    path.write_bytes(b"no video at all" * 100)
    assert "cannot be decoded" in refusal(path)


def test_a_file_that_is_not_there_does_not_play(tmp_path: Path) -> None:
    assert "cannot be decoded" in refusal(tmp_path / "absent")


def test_sound_alone_does_not_play_as_video(tmp_path: Path) -> None:
    path = tmp_path / "video.wav"
    samples = flat(8, 8, (0, 0, 0)).tobytes()
    header = b"RIFF" + (36 + len(samples)).to_bytes(4, "little") + b"WAVEfmt \x10\0\0\0\1\0\1\0"
    rate = (8000).to_bytes(4, "little")
    path.write_bytes(header + rate + rate + b"\1\0\x08\0data" + len(samples).to_bytes(4, "little") + samples)
    assert "cannot be decoded" in refusal(path)
