"""The line that ends a local run."""

from pathlib import Path

import pytest

from videoworker.request import Result, Video, VideoRequest
from videoworker.worker import summary


def line(url: str, has_audio: bool = False) -> str:
    video = Video(url, "mp4", "h264", 256, 256, 25, 12, 25 / 12, 1, "0" * 64, 42, "sketch", "1", 20, 5.0, has_audio)
    return summary.line(Result("a", VideoRequest("native", "x"), video, {"total": 9.34}, 0.0, 9.34))


def test_the_line_begins_with_the_path_as_seen_from_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    url = (tmp_path / "out puts" / "a" / "video.mp4").as_uri()
    assert line(url) == (
        "out puts/a/video.mp4  256x256, 25 frames, 12 fps, 2.1 s, silent, seed 42, sketch, made in 9.3 s"
    )


def test_sound() -> None:
    assert ", 2.1 s, with sound, seed 42, " in line("https://bucket/video.mp4", has_audio=True)


def test_a_url_that_is_no_file_stands_as_it_is() -> None:
    assert line("https://bucket/video.mp4?signature=x").startswith("https://bucket/video.mp4?signature=x  256x256")
