"""Sound beside a finished picture, as ffprobe and ffmpeg of another build find it."""

from pathlib import Path

import numpy as np
import pytest

from tests.media.sounds import check_together, form, heard, pictures, pitch, probe, silent, tone
from tests.media.test_file import boxes
from tests.watches import unheard, watch_that
from videoworker.errors import Code, JobError
from videoworker.media.file import SAMPLE_RATE, VideoFormat
from videoworker.media.playable import check_plays
from videoworker.media.size import estimated_bytes
from videoworker.media.sound_track import add_sound
from videoworker.request import Container
from videoworker.watch import Watch

both = pytest.mark.parametrize("container", ["mp4", "webm"])
pytestmark = pytest.mark.needs_ffmpeg

CODECS = {"mp4": ["h264", "aac"], "webm": ["vp9", "opus"]}


def refused(path: Path, form: VideoFormat) -> str:
    with pytest.raises(JobError) as raised:
        check_plays(path, form, watch_that())
    assert raised.value.code is Code.GENERATION_FAILED
    return raised.value.message


@both
@pytest.mark.parametrize(
    ("num_frames", "fps"), [(12, 24), (300, 60), (84, 7), (90, 3)], ids=["0.5 s", "5 s", "12 s", "30 s"]
)
def test_lengths(tmp_path: Path, container: Container, num_frames: int, fps: int) -> None:
    """Picture and sound begin together and end together, and the picture's packets are as they were."""
    wanted = form(container, num_frames, fps)
    path = silent(tmp_path / f"video.{container}", wanted)
    before = pictures(path)
    add_sound(path, container, tone(num_frames / fps, 440), watch_that())

    assert pictures(path) == before
    streams = probe(path, "-show_streams")["streams"]
    assert [stream["codec_name"] for stream in streams] == CODECS[container]
    assert streams[0]["r_frame_rate"] == f"{fps}/1"
    check_together(path, num_frames, fps)
    assert float(probe(path, "-show_format")["format"]["duration"]) == pytest.approx(num_frames / fps, abs=0.01)
    check_plays(path, wanted, watch_that())
    assert path.stat().st_size <= estimated_bytes(wanted)
    assert list(tmp_path.iterdir()) == [path]


@both
def test_tones_in_their_places(tmp_path: Path, container: Container) -> None:
    path = silent(tmp_path / "video", form(container, 24, 12))
    add_sound(path, container, np.concatenate([tone(1, 440), tone(1, 1200)], axis=1), watch_that())
    samples = heard(path)
    assert pitch(samples[4800:43200]) == pytest.approx(440, abs=3)
    assert pitch(samples[52800:91200]) == pytest.approx(1200, abs=3)
    # Neither louder nor quieter than it was.
    assert np.abs(samples[4800:43200]).max() == pytest.approx(0.5, rel=0.05)


@both
def test_click_at_a_frame(tmp_path: Path, container: Container) -> None:
    path = silent(tmp_path / "video", form(container, 24, 12))
    sound = np.zeros((1, 96_000), np.float32)
    at = 17 * SAMPLE_RATE // 12
    sound[:, at : at + 20] = 0.8
    add_sound(path, container, sound, watch_that())
    samples = np.abs(heard(path))
    loud = np.flatnonzero(samples > 0.2)
    assert abs(loud[0] - at) < 0.005 * SAMPLE_RATE
    assert abs(loud[-1] - at) < 0.005 * SAMPLE_RATE


@both
@pytest.mark.parametrize("kind", ["square", "noise", "far above full scale"])
def test_loud(tmp_path: Path, container: Container, kind: str) -> None:
    """No peak is above full scale, and what is loud is not made needlessly quiet."""
    square = np.sign(tone(2, 441))
    noise = np.random.default_rng(0).uniform(-1, 1, (1, 96_000)).astype(np.float32)
    path = silent(tmp_path / "video", form(container, 24, 12))
    add_sound(path, container, {"square": square, "noise": noise}.get(kind, 40 * tone(2, 300)), watch_that())
    assert 0.7 < np.abs(heard(path)).max() <= 1


@both
def test_silence(tmp_path: Path, container: Container) -> None:
    path = silent(tmp_path / "video", form(container, 24, 12))
    add_sound(path, container, np.zeros((1, 96_000), np.float32), watch_that())
    assert np.abs(heard(path)).max() < 10 ** (-90 / 20)


@both
def test_quiet_stays_quiet(tmp_path: Path, container: Container) -> None:
    path = silent(tmp_path / "video", form(container, 24, 12))
    add_sound(path, container, tone(2, 440, 0.001), watch_that())
    assert np.abs(heard(path)).max() == pytest.approx(0.001, rel=0.2)


@both
def test_tags_and_layout(tmp_path: Path, container: Container) -> None:
    """The tags stay, by name and value, and no other comes. An mp4 can still be played before it is whole."""
    tags = {"digital_source_type": "http://example.org/made", "prompt": "ä star", "seed": "7"}
    path = silent(tmp_path / "video", form(container, 24, 12), tags)
    before = probe(path, "-show_format")["format"]["tags"]
    add_sound(path, container, tone(2, 440), watch_that())
    found = probe(path, "-show_format")["format"]["tags"]
    assert found == before
    assert {name.lower() for name in found} >= set(tags)
    if container == "mp4":
        assert boxes(path.read_bytes()).index("moov") < boxes(path.read_bytes()).index("mdat")


@both
def test_same_bytes(tmp_path: Path, container: Container) -> None:
    for name in ("one", "two"):
        path = silent(tmp_path / name, form(container, 24, 12))
        add_sound(path, container, tone(2, 440), watch_that())
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


@both
def test_interleaved(tmp_path: Path, container: Container) -> None:
    """Who plays it from its beginning never waits for more than half a second of the other track."""
    path = silent(tmp_path / "video", form(container, 84, 7))
    add_sound(path, container, tone(12, 440), watch_that())
    packets = probe(path, "-show_packets", "-show_entries", "packet=codec_type,dts_time,pos")["packets"]
    latest = {"video": 0.0, "audio": 0.0}
    for packet in sorted(packets, key=lambda packet: int(packet["pos"])):
        latest[packet["codec_type"]] = float(packet["dts_time"])
        assert abs(latest["video"] - latest["audio"]) < 0.5


@both
def test_cancel(tmp_path: Path, container: Container) -> None:
    """A cancel that comes while the sound is laid beside the picture leaves the silent file, and no other."""
    path = silent(tmp_path / "video", form(container, 24, 12))
    before = path.read_bytes()

    def clock() -> float:
        return 1001.0 if path.with_name("video.part").exists() else 0.0

    for watch, code in [
        (watch_that(), Code.CANCELLED),
        (Watch("a", unheard, 1000.0, clock), Code.GENERATION_TIMEOUT),
    ]:
        if code is Code.CANCELLED:
            watch.cancel.set()
        with pytest.raises(JobError) as raised:
            add_sound(path, container, tone(2, 440), watch)
        assert raised.value.code is code
        assert path.read_bytes() == before
        assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_no_numbers(tmp_path: Path, wrong: float) -> None:
    path = silent(tmp_path / "video", form("mp4", 24, 12))
    sound = tone(2, 440)
    sound[0, 500] = wrong
    with pytest.raises(JobError, match="not numbers"):
        add_sound(path, "mp4", sound, watch_that())


@both
@pytest.mark.parametrize("seconds", [1.99, 2.01])
def test_other_length(tmp_path: Path, container: Container, seconds: float) -> None:
    """A sound that is shorter or longer than the picture is an error, and so is a file with it."""
    path = silent(tmp_path / "video", form(container, 24, 12))
    with pytest.raises(JobError, match=rf"sound has {seconds:.3f} seconds, and the picture 2\.000"):
        add_sound(path, container, tone(seconds, 440), watch_that())
    add_sound(path, container, tone(2, 440), watch_that())
    assert "sound has 2.0" in refused(path, form(container, 24, 13))


@both
def test_sound_that_is_missing(tmp_path: Path, container: Container) -> None:
    """And sound where none is to be."""
    wanted = form(container, 24, 12)
    path = silent(tmp_path / "video", wanted)
    assert "0 sound tracks" in refused(path, wanted)
    add_sound(path, container, tone(2, 440), watch_that())
    assert "1 sound tracks" in refused(path, VideoFormat(container, wanted.canvas, 12, 24))


@both
@pytest.mark.parametrize("kept", [0.3, 0.7, 0.97])
def test_cut_short(tmp_path: Path, container: Container, kept: float) -> None:
    wanted = form(container, 24, 12)
    path = silent(tmp_path / "video", wanted)
    add_sound(path, container, tone(2, 440), watch_that())
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])
    refused(path, wanted)
