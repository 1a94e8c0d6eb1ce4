"""Jobs that add sound to a clip that was given: the whole way to the delivered file."""

from pathlib import Path
from typing import Any

import av
import pytest

from builder.tiny import foley
from tests import whole_job
from tests.media import manifests
from tests.media.certificates import signer
from tests.media.clips import Kind, clip, shades, text
from tests.media.sounds import heard, pictures
from tests.watches import unheard, watch_that
from tests.whole_job import settings_in
from videoworker.engine.device import Device
from videoworker.engine.engine import Engine
from videoworker.errors import Code, JobError
from videoworker.models.foley import FOLEY_XL
from videoworker.models.sound_model import Part
from videoworker.origin import COMPOSITE, manifest_beside
from videoworker.planning.memory import RESERVE
from videoworker.request import AudioRequest, Container, Progress, Result
from videoworker.settings import Settings
from videoworker.watch import Watch
from videoworker.weights.revision import revision
from videoworker.worker.probe import facts

SOUND = AudioRequest(prompt="a bell", num_inference_steps=2)
WEBM = Kind("webm", "libvpx-vp9", options=())


@pytest.fixture(scope="module")
def weights_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """There is no video model."""
    folder = tmp_path_factory.mktemp("weights")
    foley.save(folder / FOLEY_XL.checkpoint.folder, "xl")
    return folder


@pytest.fixture
def settings(weights_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    return settings_in(tmp_path, weights_dir, monkeypatch)


def made(settings: Settings, data: bytes, **more: Any) -> Result:
    asked = {"model": None, "prompt": "", "video": text(data), "audio": SOUND} | more
    return whole_job.made(settings, **asked)


def file_of(settings: Settings, result: Result) -> Path:
    return settings.output_dir / "a" / f"video.{result.video.container}"


@pytest.mark.parametrize(("kind", "container"), [(Kind(), "mp4"), (WEBM, "webm")], ids=["mp4", "webm"])
def test_sound_for_a_clip(settings: Settings, tmp_path: Path, kind: Kind, container: Container) -> None:
    """The picture's packets are those that were given, and its own sound is gone. The answer tells of the sound."""
    data = clip(shades(36), kind, sound=True)
    (tmp_path / "given").write_bytes(data)
    reports: list[Progress] = []
    result = made(settings, data, report=reports.append, seed=7)
    path = file_of(settings, result)
    assert [packet for *_, packet in pictures(path)] == [packet for *_, packet in pictures(tmp_path / "given")]
    assert abs(len(heard(path)) / 48_000 - 1.5) < 1 / 24
    with av.open(path) as opened:
        assert len(opened.streams) == 2
        tags = {name.lower(): value for name, value in opened.metadata.items()}
    assert (tags["sound_model"], tags["sound_seed"], tags["digital_source_type"]) == ("foley", "7", COMPOSITE)
    video = result.video
    assert (video.container, video.width, video.height, video.num_frames, video.fps) == (container, 64, 48, 36, 24)
    assert (video.model, video.seed, video.steps, video.has_audio, video.marks) == ("foley", 7, 2, True, ["iptc"])
    assert video.model_revision == revision(settings.weights_dir / FOLEY_XL.checkpoint.folder)
    assert video.notes == [*FOLEY_XL.checkpoint.notes, "The video's own sound was replaced."]
    assert set(result.timings) == {"decode", "load", "sound", "encode", "deliver", "total"}
    fractions = [report.fraction for report in reports]
    assert fractions == sorted(fractions)
    assert [report.stage for report in reports] == ["sound", "sound", "encode", "deliver", "deliver"][: len(reports)]
    assert made(settings, data, seed=7).video.sha256 == video.sha256


@pytest.mark.parametrize("times", [None, [*range(20), *range(30, 40)]], ids=["29.97", "varying"])
def test_any_rate(settings: Settings, times: list[int] | None) -> None:
    """The sound is as long as the file, whatever its rate."""
    result = made(settings, clip(shades(30), Kind("matroska", options=()), fps=30, times=times))
    assert abs(len(heard(file_of(settings, result))) / 48_000 - result.video.duration) < 1 / 30
    assert result.video.fps == pytest.approx(30 / result.video.duration, abs=0.1)


def test_no_sound_model(settings: Settings, tmp_path: Path) -> None:
    """There is nothing else to do, so it is an error. The clip is not fetched for it."""
    (tmp_path / "none").mkdir()
    bare = settings.model_copy(update={"weights_dir": tmp_path / "none"})
    with pytest.raises(JobError) as raised:
        made(bare, b"not looked at", engine=Engine(bare))
    assert raised.value.code is Code.MODEL_NOT_LOADED
    assert "videoworker fetch foley" in raised.value.message


@pytest.mark.parametrize("missing_bytes", [0, 1])
def test_loaded_before_the_first_job(settings: Settings, monkeypatch: pytest.MonkeyPatch, missing_bytes: int) -> None:
    """All networks lie on a GPU that has room for them, else the part that was read last. Jobs are made from there."""
    engine = Engine(settings)
    weights = engine.sounds._parts.weight_bytes(FOLEY_XL, settings.weights_dir / FOLEY_XL.checkpoint.folder)
    beside = max(FOLEY_XL.activation_bytes(part) for part in Part) + RESERVE
    monkeypatch.setattr(Device, "is_gpu", True)
    monkeypatch.setattr(Device, "free_bytes", sum(weights.values()) + beside - missing_bytes)
    engine.load(engine.survey().served("foley"), watch_that())
    assert facts(engine)["model"] == "foley xl"
    assert engine.sounds._parts.held_bytes == (weights[Part.DECODER] if missing_bytes else sum(weights.values()))
    assert made(settings, clip(shades(12)), engine=engine).video.has_audio


def test_cancel(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is heard while the clip's frames are taken. Nothing is delivered."""
    watch = Watch("a", unheard, 1000.0)

    def see(viewer: object, frame: object) -> None:
        watch.cancel.set()

    monkeypatch.setattr("videoworker.families.foley.features.Viewer.see", see)
    with pytest.raises(JobError) as raised:
        made(settings, clip(shades(36)), watch=watch)
    assert raised.value.code is Code.CANCELLED
    assert not settings.output_dir.exists()


@pytest.mark.parametrize("kind", [Kind(), WEBM], ids=["mp4", "webm"])
def test_signed(settings: Settings, kind: Kind) -> None:
    """The manifest says that the clip was opened and edited, and has it as an ingredient."""
    signing: dict[str, Any] = {name.lower(): value for name, value in signer().settings().items()}
    key = Settings(**signing)
    update = {"c2pa_certificate": key.c2pa_certificate, "c2pa_private_key": key.c2pa_private_key}
    result = made(settings.model_copy(update=update), clip(shades(12), kind))
    path = file_of(settings, result)
    beside = manifest_beside(path)
    state, actions, ingredients = manifests.history(
        path.read_bytes(), result.video.container, beside.read_bytes() if beside.exists() else None
    )
    assert state == "Valid"
    assert [action["action"] for action in actions] == ["c2pa.opened", "c2pa.edited"]
    assert actions[1]["digitalSourceType"] == COMPOSITE
    assert actions[1]["parameters"]["model"] == "foley"
    assert [ingredient["relationship"] for ingredient in ingredients] == ["parentOf"]
