"""The file that comes out, as ffprobe and ffmpeg of another build read it."""

import hashlib
import json
import struct
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.media.pictures import circle, extent, flat
from videoworker.canvas import Canvas
from videoworker.errors import Code, JobError
from videoworker.media.file import CRF_RANGE, Finished, VideoFile, VideoFormat
from videoworker.request import Container

CONTAINERS: tuple[Container, ...] = ("mp4", "webm")
both = pytest.mark.parametrize("container", CONTAINERS)
needs_ffmpeg = pytest.mark.needs_ffmpeg


def form(container: Container, num_frames: int) -> VideoFormat:
    return VideoFormat(container, Canvas.whole(64, 48), 24, num_frames)


def make(
    path: Path, container: Container, frames: list[NDArray[np.uint8]], size: tuple[int, int], fps: int, **more: Any
) -> Finished:
    """A file of `size` from frames of that size, or from the middle of others."""
    height, width = frames[0].shape[:2]
    crop = min(width, height * size[0] // size[1]), min(height, width * size[1] // size[0])
    metadata = more.pop("metadata", None)
    canvas = Canvas.centred(size, (width, height), crop)
    form = VideoFormat(container, canvas, fps, len(frames), **more)
    with VideoFile(path, form, metadata) as file:
        for frame in frames:
            file.write(frame)
        file.close()
    return Finished.at(path)


def moving(num_frames: int, width: int = 64, height: int = 48) -> list[NDArray[np.uint8]]:
    frames = [flat(width, height, (40, 60, 200)) for _ in range(num_frames)]
    for number, frame in enumerate(frames):
        left = number * 3 % width
        frame[8:24, left : left + 16] = (230, 200, 40)
    return frames


def probe(path: Path, *options: str) -> Any:
    return json.loads(subprocess.check_output(["ffprobe", "-v", "error", *options, "-of", "json", str(path)]))


def stream_of(path: Path) -> dict[str, Any]:
    streams: list[dict[str, Any]] = probe(path, "-count_frames", "-show_streams")["streams"]
    assert len(streams) == 1
    return streams[0]


def decoded(path: Path, width: int, height: int) -> NDArray[np.uint8]:
    """RGB frames, [frames, height, width, 3], converted as the file's own tags say."""
    convert = ["-vf", "scale=sws_flags=accurate_rnd+full_chroma_int", "-pix_fmt", "rgb24", "-f", "rawvideo"]
    raw = subprocess.check_output(["ffmpeg", "-v", "error", "-i", str(path), *convert, "-"])
    return np.frombuffer(raw, dtype=np.uint8).reshape(-1, height, width, 3)


def boxes(data: bytes) -> list[str]:
    """The names of an mp4's top-level boxes, in file order."""
    names, at = [], 0
    while at < len(data):
        size, name = struct.unpack_from(">I4s", data, at)
        names.append(name.decode())
        at += size
    return names


@both
@needs_ffmpeg
@pytest.mark.parametrize(("num_frames", "fps"), [(1, 24), (2, 60), (13, 24), (60, 60), (3, 1), (33, 16), (5, 7)])
def test_the_file_has_exactly_the_frames_and_the_rate_that_were_asked_for(
    tmp_path: Path, container: Container, num_frames: int, fps: int
) -> None:
    path = tmp_path / f"video.{container}"
    make(path, container, moving(num_frames), (64, 48), fps)

    stream = stream_of(path)
    assert int(stream["nb_read_frames"]) == num_frames
    assert stream["r_frame_rate"] == f"{fps}/1"
    assert float(stream["start_time"]) == 0
    duration = float(probe(path, "-show_format")["format"]["duration"])
    tick = 1e-6 if container == "mp4" else 1.01e-3  # webm counts milliseconds
    assert duration == pytest.approx(num_frames / fps, abs=tick)


@both
@needs_ffmpeg
def test_each_frame_stands_at_its_own_time(tmp_path: Path, container: Container) -> None:
    path = tmp_path / f"video.{container}"
    make(path, container, moving(30), (64, 48), 24)

    frames = probe(path, "-show_frames", "-show_entries", "frame=pts_time")["frames"]
    assert [float(frame["pts_time"]) for frame in frames] == pytest.approx([n / 24 for n in range(30)], abs=6e-4)


@both
@needs_ffmpeg
def test_frames_come_out_in_the_order_they_went_in(tmp_path: Path, container: Container) -> None:
    path = tmp_path / f"video.{container}"
    greys = [16, 80, 144, 208, 240, 40, 120]
    make(path, container, [flat(64, 48, (grey, grey, grey)) for grey in greys], (64, 48), 24)

    middle = decoded(path, 64, 48)[:, 24, 32, 1]
    assert np.abs(middle.astype(int) - greys).max() <= 3


@needs_ffmpeg
def test_mp4_is_h264_high_in_420_tagged_as_limited_bt709(tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    make(path, "mp4", moving(3), (64, 48), 24)

    stream = stream_of(path)
    assert (stream["codec_name"], stream["profile"], stream["pix_fmt"]) == ("h264", "High", "yuv420p")
    assert form("mp4", 3).codec == "h264"
    assert (stream["width"], stream["height"]) == (64, 48)
    _assert_bt709(stream)


@needs_ffmpeg
def test_webm_is_vp9_in_420_tagged_as_limited_bt709(tmp_path: Path) -> None:
    path = tmp_path / "video.webm"
    make(path, "webm", moving(3), (64, 48), 24)

    stream = stream_of(path)
    assert (stream["codec_name"], stream["profile"], stream["pix_fmt"]) == ("vp9", "Profile 0", "yuv420p")
    assert form("webm", 3).codec == "vp9"
    assert (stream["width"], stream["height"]) == (64, 48)
    _assert_bt709(stream)


def _assert_bt709(stream: dict[str, Any]) -> None:
    assert stream["color_range"] == "tv"
    assert stream["color_space"] == stream["color_primaries"] == stream["color_transfer"] == "bt709"


def test_an_mp4_can_be_played_before_it_has_arrived_whole(tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    make(path, "mp4", moving(3), (64, 48), 24)

    order = boxes(path.read_bytes())
    assert order.index("moov") < order.index("mdat")


@both
@needs_ffmpeg
def test_a_keyframe_comes_at_least_every_two_seconds(tmp_path: Path, container: Container) -> None:
    path = tmp_path / f"video.{container}"
    make(path, container, moving(26), (64, 48), 5)

    frames = probe(path, "-show_frames", "-show_entries", "frame=key_frame")["frames"]
    keys = [number for number, frame in enumerate(frames) if frame["key_frame"]]
    assert keys[0] == 0
    assert max(np.diff([*keys, len(frames)])) <= 10


@both
@needs_ffmpeg
def test_every_group_of_pictures_decodes_without_the_one_before_it(tmp_path: Path, container: Container) -> None:
    """An open group would hold pictures shown before its keyframe and coded after it."""
    path = tmp_path / f"video.{container}"
    make(path, container, moving(26), (64, 48), 5)

    times: list[float] = []
    for packet in probe(path, "-show_packets", "-show_entries", "packet=pts_time,flags")["packets"]:
        shown = float(packet["pts_time"])
        if packet["flags"].startswith("K"):
            assert all(shown > earlier for earlier in times)
            key = shown
        assert shown >= key
        times.append(shown)


PRIMARIES = [(r, g, b) for r in (0, 255) for g in (0, 255) for b in (0, 255)]
BETWEEN = [(230, 60, 40), (40, 180, 60), (128, 128, 128), (255, 165, 0), (128, 0, 128), (128, 255, 128), (0, 128, 255)]


@both
@needs_ffmpeg
@pytest.mark.parametrize("scale", [1, 2])
def test_flat_colours_are_shown_within_three_levels(tmp_path: Path, container: Container, scale: int) -> None:
    colours = [*PRIMARIES, *BETWEEN, (255, 255, 255)]
    board = np.concatenate(
        [np.concatenate([flat(64, 64, colour) for colour in colours[row : row + 4]], axis=1) for row in (0, 4, 8, 12)]
    )
    path = tmp_path / f"video.{container}"
    side, size = 64 * scale, 256 * scale
    make(path, container, [board] * 3, (size, size), 24)

    frames = decoded(path, size, size).astype(int)
    for number, colour in enumerate(colours):
        top, left = number // 4 * side + side // 2, number % 4 * side + side // 2
        patch = frames[:, top - 4 : top + 4, left - 4 : left + 4]
        assert np.abs(patch - colour).max() <= 3, colour


@both
def test_a_better_quality_and_a_lower_crf_keep_more(tmp_path: Path, container: Container) -> None:
    rows, columns = np.mgrid[:144, :256]
    frames = []
    for number in range(8):
        waves = 128 + 60 * np.sin(columns / 7 + number / 3) * np.cos(rows / 5 - number / 4)
        frames.append(np.stack([waves, waves[::-1], 255 - waves], axis=2).astype(np.uint8))

    def size(**choice: Any) -> int:
        return make(tmp_path / "video", container, frames, (256, 144), 24, **choice).file_size

    assert size(crf=45) < size(quality="low") < size(quality="medium") < size(quality="high") < size(crf=10)


@both
@needs_ffmpeg
def test_every_crf_in_its_range_makes_a_file_of_the_same_profile(tmp_path: Path, container: Container) -> None:
    path = tmp_path / f"video.{container}"
    for crf in CRF_RANGE[container]:
        make(path, container, moving(2), (64, 48), 24, crf=crf)
        assert stream_of(path)["profile"] == {"mp4": "High", "webm": "Profile 0"}[container]


@both
def test_the_same_frames_make_the_same_bytes(tmp_path: Path, container: Container) -> None:
    first, second = (make(tmp_path / name, container, moving(13), (64, 48), 24) for name in ("one", "two"))
    assert first == second
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


@both
def test_what_is_reported_is_what_lies_on_disk(tmp_path: Path, container: Container) -> None:
    path = tmp_path / "video"
    finished = make(path, container, moving(3), (64, 48), 24)
    assert finished.file_size == path.stat().st_size
    assert finished.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@both
@needs_ffmpeg
def test_metadata_can_be_read_back_by_name(tmp_path: Path, container: Container) -> None:
    path = tmp_path / f"video.{container}"
    metadata = {"comment": "a red ball – \U0001f534", "prompt_sha256": "0f" * 32, "seed": "18446744073709551615"}
    make(path, container, moving(1), (64, 48), 24, metadata=metadata)

    tags = {key.lower(): value for key, value in probe(path, "-show_format")["format"]["tags"].items()}
    assert {key: tags.get(key) for key in metadata} == metadata


@both
def test_nothing_but_the_file_is_left_when_it_is_finished(tmp_path: Path, container: Container) -> None:
    make(tmp_path / "video", container, moving(3), (64, 48), 24)
    assert [path.name for path in tmp_path.iterdir()] == ["video"]


@both
def test_the_target_does_not_exist_until_the_file_is_whole(tmp_path: Path, container: Container) -> None:
    path = tmp_path / "video"
    with VideoFile(path, form(container, 3)) as file:
        for frame in moving(3):
            file.write(frame)
            assert not path.exists()
        file.close()
        assert path.exists()


@both
@pytest.mark.parametrize("written", [0, 1, 30])
def test_an_error_on_the_way_leaves_no_file(tmp_path: Path, container: Container, written: int) -> None:
    with (
        pytest.raises(JobError) as raised,
        VideoFile(tmp_path / "video", form(container, 60)) as file,
    ):
        for frame in moving(written):
            file.write(frame)
        raise JobError(Code.CANCELLED, "The job was cancelled.")
    assert raised.value.code is Code.CANCELLED
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("count", [1, 60])
def test_an_error_of_the_encoder_reaches_who_writes(tmp_path: Path, count: int) -> None:
    with pytest.raises(ValueError, match="float64"), VideoFile(tmp_path / "video", form("mp4", count)) as file:
        for frame in moving(count):
            file.write(frame.astype(np.float64))
        file.close()
    assert list(tmp_path.iterdir()) == []


@both
def test_a_file_that_nobody_finishes_is_taken_away(tmp_path: Path, container: Container) -> None:
    with VideoFile(tmp_path / "video", form(container, 2)) as file:
        file.write(moving(1)[0])
    assert list(tmp_path.iterdir()) == []


@both
@pytest.mark.parametrize("written", [2, 4])
def test_a_wrong_number_of_frames_is_an_error_and_no_file(tmp_path: Path, container: Container, written: int) -> None:
    with pytest.raises(JobError) as raised, VideoFile(tmp_path / "video", form(container, 3)) as file:
        for frame in moving(written):
            file.write(frame)
        file.close()
    assert raised.value.code is Code.GENERATION_FAILED
    assert f"{written} frames instead of 3" in raised.value.message
    assert list(tmp_path.iterdir()) == []


@both
def test_an_earlier_file_of_the_name_stays_when_a_new_one_fails(tmp_path: Path, container: Container) -> None:
    path = tmp_path / "video"
    path.write_bytes(b"earlier")
    with pytest.raises(JobError), VideoFile(path, form(container, 2)) as file:
        file.close()
    assert path.read_bytes() == b"earlier"


@both
@pytest.mark.parametrize(
    ("width", "height", "fps", "num_frames", "crf"),
    [
        (63, 48, 24, 1, None),
        (64, 47, 24, 1, None),
        (0, 48, 24, 1, None),
        (64, 48, 0, 1, None),
        (64, 48, 24, 0, None),
        (64, 48, 24, 1, -1),
        (64, 48, 24, 1, 64),
    ],
)
def test_format_of_no_file(
    container: Container, width: int, height: int, fps: int, num_frames: int, crf: int | None
) -> None:
    with pytest.raises(ValueError, match=r"no video has|crf"):
        VideoFormat(container, Canvas.whole(width, height), fps, num_frames, crf=crf)


@needs_ffmpeg
def test_a_circle_stays_round_when_a_square_picture_fills_a_wide_file(tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    make(path, "mp4", [circle(256)], (1920, 1080), 24)

    wide, high = extent(decoded(path, 1920, 1080)[0])
    assert wide == pytest.approx(128 * 1920 / 256, rel=0.01)
    assert high == pytest.approx(wide, rel=0.005)
