"""Clips as callers give them: every kind that is let in, and hostile ones."""

import io
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.media.clips import Kind, clip, huge, shades, sound_alone, text
from tests.media.pictures import encoded
from tests.media.sounds import heard, pictures, pitch, probe, tone
from tests.media.test_file import decoded
from tests.watches import unheard, watch_that
from videoworker.errors import Code, JobError
from videoworker.media import clip as reading
from videoworker.media.clip import GivenClip, frames_of, read_clip
from videoworker.media.clip_decoder import MAX_FRAMES, MAX_PIXELS, check, write_frames
from videoworker.media.confined import Limits
from videoworker.media.playable import check_plays
from videoworker.media.sound_track import add_sound
from videoworker.watch import Watch

KINDS = {
    "h264 mp4": (Kind(), "mp4", "h264"),
    "h264 mov": (Kind("mov"), "mp4", "h264"),
    "h264 mkv": (Kind("matroska", options=()), "mp4", "h264"),
    "hevc 10-bit": (Kind("mov", "libx265", "yuv420p10le"), "mp4", "hevc"),
    "av1 mp4": (Kind("mp4", "libsvtav1"), "mp4", "av1"),
    "av1 webm": (Kind("webm", "libsvtav1", options=()), "webm", "av1"),
    "vp8": (Kind("webm", "libvpx", options=()), "webm", "vp8"),
    "vp9": (Kind("webm", "libvpx-vp9", options=()), "webm", "vp9"),
    "h264 on its side": (Kind(rotation=90), "mp4", "h264"),
}


def read(data: bytes, watch: Watch | None = None) -> GivenClip:
    return read_clip(text(data), "video", watch or watch_that())


def refusal(video: str, allowed: str) -> JobError:
    with pytest.raises(JobError) as raised:
        read_clip(video, "video", watch_that())
    error = raised.value
    assert error.code is Code.INVALID_VIDEO
    [problem] = error.fields
    assert problem.field == "video"
    assert allowed in problem.allowed
    assert len(problem.given) < 120
    return error


def decoders() -> list[psutil.Process]:
    children = psutil.Process().children()
    return [child for child in children if any("clip_decoder" in word for word in child.cmdline())]


@pytest.mark.needs_ffmpeg
@pytest.mark.parametrize(("kind", "container", "codec"), KINDS.values(), ids=KINDS)
def test_kinds(tmp_path: Path, kind: Kind, container: str, codec: str) -> None:
    """The frames are those that a player shows. The file gets a sound in place of its own, beside the same packets."""
    data = clip(shades(12), kind, sound=True)
    original = tmp_path / "original"
    original.write_bytes(data)
    given = read(data)
    assert (given.container, given.codec) == (container, codec)
    assert (float(given.fps), given.num_frames) == (24, 12)
    assert given.duration == pytest.approx(0.5, abs=0.002)
    frames = np.array(list(frames_of(given, watch_that())))
    assert np.abs(frames.astype(int) - decoded(original, given.width, given.height)).mean() < 4

    path = tmp_path / f"video.{container}"
    path.write_bytes(given.picture)
    tags = {"software": "videoworker 1"}
    add_sound(path, given.container, tone(given.duration, 1200), watch_that(), tags)
    check_plays(path, given, watch_that())
    assert [data for *_, data in pictures(path)] == [data for *_, data in pictures(original)]
    found = probe(path, "-show_streams", "-show_format")
    assert [stream["codec_type"] for stream in found["streams"]] == ["video", "audio"]
    assert {name.lower(): value for name, value in found["format"]["tags"].items()}["software"] == "videoworker 1"
    assert pitch(heard(path)) == pytest.approx(1200, abs=5)


def test_forms() -> None:
    data = clip(shades(4))
    assert read_clip(f"data:video/mp4;base64,{text(data)}", "video", watch_that()) == read(data)
    refusal(f"data:image/mp4;base64,{text(data)}", "data:video/...;base64,")
    refusal("http://127.0.0.1:1/a.mp4?token=hunter2", "public address")
    refusal("file:///etc/passwd", "http:// or https://")
    refusal("not base64!", "mp4, mov, webm or mkv")


@pytest.mark.parametrize("format", ["mp4", "matroska"])
def test_varying_rate(format: str) -> None:
    """Frames come at the average rate, each at the time at which it is seen."""
    watch = watch_that()
    given = read(clip(shades(8), Kind(format, options=()), fps=24, times=[0, 1, 2, 3, 12, 13, 14, 15]), watch)
    assert float(given.fps) == pytest.approx(12, abs=0.2)
    assert given.num_frames == 8
    assert any("frame rate varies" in note for note in watch.notes)
    greys = [int(frame[4, -4, 0]) for frame in frames_of(given, watch)]
    assert greys == pytest.approx([45, 95, 95, 95, 95, 95, 145, 195], abs=26)
    assert len(set(greys[2:6])) == 1


def test_frames_are_taken_one_by_one() -> None:
    """Who stops early leaves no process behind. What is taken may be written to."""
    given = read(clip(shades(60, 640, 480)))
    frames = frames_of(given, watch_that())
    next(frames)[0, 0] = 1
    assert decoders() != []
    frames.close()  # type: ignore[attr-defined]
    assert decoders() == []


@pytest.mark.parametrize(
    ("data", "allowed"),
    [
        (lambda: clip(shades(2, 4096, 2176)), f"at most {MAX_PIXELS} pixels"),
        (lambda: huge(16383, told=True), f"at most {MAX_PIXELS} pixels"),
        (lambda: huge(16383, told=False), "whole"),
        (lambda: clip(shades(2, 64, 14)), "at least 16 pixels"),
        (lambda: clip(shades(MAX_FRAMES + 1, 16, 16), fps=100), f"at most {MAX_FRAMES} frames"),
        (lambda: clip(shades(31, 16, 16), fps=1), "at most 30 seconds"),
        (lambda: clip(shades(60, 16, 16), fps=240), "at most 120 frames per second"),
        (lambda: clip(shades(1)), "at least 2 frames"),
        (lambda: clip(shades(4), Kind("mov", "mpeg4", options=())), "H.264, HEVC, VP8, VP9 or AV1"),
        (sound_alone, "this one has none"),
    ],
    ids=["large", "huge", "huge inside", "small", "frames", "seconds", "rate", "one frame", "codec", "sound"],
)
def test_limits(data: Callable[[], bytes], allowed: str) -> None:
    refusal(text(data()), allowed)


@pytest.mark.parametrize(
    "data",
    [
        b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n",
        b"ffconcat version 1.0\nfile /etc/passwd\n",
        b"RIFF\x24\0\0\0WAVEfmt ",
        b"",
        b"\0\0\0",
    ],
    ids=["playlist", "list of files", "wav", "nothing", "three bytes"],
)
def test_no_clip(data: bytes) -> None:
    refusal(text(data), "mp4, mov, webm or mkv")


def test_picture() -> None:
    refusal(encoded(Image.new("RGB", (32, 32))), "mp4, mov, webm or mkv")
    refusal(encoded(Image.new("RGB", (32, 32)), "AVIF"), "")


@pytest.mark.parametrize("kind", ["h264 mp4", "h264 mkv", "vp9"])
@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9])
def test_cut_short(kind: str, kept: float) -> None:
    data = clip(list(np.random.default_rng(0).integers(0, 255, (48, 48, 64, 3), np.uint8)), KINDS[kind][0])
    refusal(text(data[: int(len(data) * kept)]), "whole")


@pytest.mark.parametrize("limits", [Limits(2**31, 0), Limits(400 * 2**20, 60)], ids=["time", "memory"])
def test_overrun(limits: Limits, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limits are tightened, so that the test is short."""
    data = clip(shades(4, 3840, 2160), KINDS["hevc 10-bit"][0])
    monkeypatch.setattr(reading, "LIMITS", limits)
    refusal(text(data), f"in {limits.seconds} seconds and {limits.memory_bytes // 2**20} MiB")
    assert decoders() == []


@pytest.mark.parametrize("code", [Code.CANCELLED, Code.GENERATION_TIMEOUT])
def test_stop(code: Code) -> None:
    """A cancel and the time limit end the decoder, while a clip is read and while its frames are taken."""

    def clock() -> float:
        if not armed or not decoders():
            return 0.0
        if code is Code.CANCELLED:
            watch.cancel.set()
            return 0.0
        return 1001.0

    armed = False
    watch = Watch("a", unheard, 1000.0, clock)
    data = clip(shades(60, 640, 480))
    given = read(data, watch)
    armed = True
    for stopped in (lambda: read(data, watch), lambda: list(frames_of(given, watch))):
        with pytest.raises(JobError) as raised:
            stopped()
        assert raised.value.code is code
        assert decoders() == []
        watch.cancel.clear()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(["h264 mp4", "vp8"]), st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=9)
)
def test_damage(kind: str, damage: list[tuple[int, int]]) -> None:
    """However a clip is damaged, it is decoded or refused."""
    data = bytearray(clip(shades(3), KINDS[kind][0]))
    for at, value in damage:
        data[at % len(data)] = value
    picture, frames = io.BytesIO(), io.BytesIO()
    verdict = check(io.BytesIO(bytes(data)), picture)
    assert verdict.is_unknown or verdict.allowed or verdict.num_frames >= 2
    if verdict.num_frames:
        picture.seek(0)
        write_frames(picture, frames, Fraction(verdict.fps), verdict.num_frames)
    assert len(frames.getvalue()) == 3 * verdict.width * verdict.height * verdict.num_frames
