"""Jobs whose video has sound: the whole way to the delivered file, with small checkpoints of random numbers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import av
import numpy as np
import pytest
import torch
from torch.utils.hooks import RemovableHandle

from builder.tiny import cogvideox, foley
from tests import whole_job
from tests.watches import unheard, watch_that
from tests.whole_job import settings_in
from videoworker.engine.device import Device
from videoworker.engine.engine import Engine
from videoworker.errors import Code, JobError
from videoworker.media import sound_codec
from videoworker.media.sound_codec import encode as true_encode
from videoworker.models.foley import FOLEY_XL
from videoworker.models.sketch_foley import SKETCH_FOLEY
from videoworker.planning.plan import make_plan
from videoworker.request import AudioRequest, Progress, Result, VideoRequest
from videoworker.settings import Settings
from videoworker.watch import Watch
from videoworker.weights.revision import revision

SOUND = AudioRequest(prompt="a bell", num_inference_steps=2)
SMALL: dict[str, Any] = {
    "width": 128,
    "height": 128,
    "num_inference_steps": 1,
    "num_frames": 12,
    "seed": 3,
    "audio": SOUND,
}


@pytest.fixture(scope="module")
def weights_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    foley.save(folder / FOLEY_XL.checkpoint.folder, "xl")
    cogvideox.save(folder / "sketch", "sketch")
    return folder


@pytest.fixture
def settings(weights_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    return settings_in(tmp_path, weights_dir, monkeypatch)


def made(settings: Settings, *given: Any, **asked: Any) -> Result:
    """What becomes of a small job."""
    return whole_job.made(settings, *given, **SMALL | asked)


def file_of(result: Result) -> Path:
    return Path(url2pathname(urlsplit(result.video.url).path))


def heard(path: Path) -> np.ndarray[Any, np.dtype[np.float32]]:
    """The samples of a file's sound."""
    with av.open(path) as container:
        return np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])


def test_the_same_again(settings: Settings) -> None:
    """Equal requests give equal files. Another seed for the sound leaves the picture as it is."""
    engine = Engine(settings)
    first, second = (made(settings, engine=engine).video.sha256 for _ in range(2))
    assert first == second
    one = made(settings, engine=engine)
    sound_one, pictures_one = heard(file_of(one)), pictures(file_of(one))
    other = made(settings, engine=engine, audio=AudioRequest(prompt="a bell", num_inference_steps=2, seed=4))
    assert pictures(file_of(other)) == pictures_one
    assert not np.array_equal(heard(file_of(other)), sound_one)


def pictures(path: Path) -> list[bytes]:
    """The packets of the picture."""
    with av.open(path) as container:
        return [bytes(packet) for packet in container.demux(video=0) if packet.size]


def test_progress(settings: Settings) -> None:
    reports: list[Progress] = []
    made(settings, reports.append)
    fractions = [report.fraction for report in reports]
    assert fractions == sorted(fractions)
    stages = list(dict.fromkeys(report.stage for report in reports))
    assert stages == ["load", "encode_prompt", "denoise", "decode", "sound", "encode", "deliver"]
    of_sound = [report for report in reports if report.stage == "sound"]
    assert [(report.step, report.steps) for report in of_sound] == [(1, 2), (2, 2)]
    assert of_sound[0].fraction - reports[reports.index(of_sound[0]) - 1].fraction > 0.1


def test_silent_without_a_sound_model(settings: Settings, tmp_path: Path, weights_dir: Path) -> None:
    alone = tmp_path / "alone"
    alone.mkdir()
    (alone / "sketch").symlink_to(weights_dir / "sketch")
    result = made(settings.model_copy(update={"weights_dir": alone}))
    assert not result.video.has_audio
    [note] = [note for note in result.video.notes if "silent" in note]
    assert SKETCH_FOLEY.checkpoint.how_to_fetch in note


def test_what_is_told_of_the_sound_model(settings: Settings) -> None:
    """Its licence in the notes. Its name and revision beside the video model's, also in the mark."""
    result = made(settings)
    assert FOLEY_XL.checkpoint.territory in result.video.notes
    folders = [settings.weights_dir / folder for folder in ("sketch", FOLEY_XL.checkpoint.folder)]
    assert result.video.model_revision == ", ".join(map(revision, folders))
    xmp = file_of(result).read_bytes()
    assert b'AISystemUsed="sketch, foley"' in xmp and result.video.model_revision.encode() in xmp


def test_silent_if_it_is_not_asked_for(settings: Settings) -> None:
    result = made(settings, audio=None)
    assert not result.video.has_audio and "sound" not in result.timings
    with av.open(file_of(result)) as opened:
        assert not opened.streams.audio


def when_it_runs(part: str, act: Callable[[], None]) -> RemovableHandle:
    """`act` is called each time before a network of this class runs."""

    def hook(network: torch.nn.Module, _: Any) -> None:
        if type(network).__name__ == part:
            act()

    return torch.nn.modules.module.register_module_forward_pre_hook(hook)


def check_that_nothing_is_left(tmp_path: Path) -> None:
    assert list((tmp_path / "temporary").iterdir()) == [] and not list((tmp_path / "made").rglob("video.*"))


@pytest.mark.parametrize("part", ["SiglipVisionModel", "Synchformer", "FoleyTransformer", "FoleyDecoder"])
def test_cancel_in_each_part(settings: Settings, tmp_path: Path, part: str) -> None:
    """Nothing is left of the job, and the next one is made."""
    watch = Watch("a", unheard, 1000.0)
    engine = Engine(settings)
    handle = when_it_runs(part, watch.cancel.set)
    with pytest.raises(JobError) as caught:
        made(settings, watch=watch, engine=engine)
    handle.remove()
    assert caught.value.code is Code.CANCELLED
    check_that_nothing_is_left(tmp_path)
    assert made(settings, engine=engine).video.has_audio


@pytest.mark.parametrize("part", ["FoleyTransformer", "FoleyDecoder", "sound track"])
def test_time_limit(settings: Settings, tmp_path: Path, part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is heard while the sound is made, and while it is laid beside the picture."""
    now = [0.0]

    def pass_time() -> None:
        now[0] = 1001.0

    def encode(*arguments: Any) -> Any:
        pass_time()
        return true_encode(*arguments)

    if part == "sound track":
        monkeypatch.setattr(sound_codec, "encode", encode)
    handle = when_it_runs(part, pass_time)
    with pytest.raises(JobError) as caught:
        made(settings, watch=Watch("a", unheard, 1000.0, lambda: now[0]))
    handle.remove()
    assert caught.value.code is Code.GENERATION_TIMEOUT
    check_that_nothing_is_left(tmp_path)


def test_out_of_memory(settings: Settings) -> None:
    """In whichever part: the sound is made once more, by parts. It is the same sound."""
    engine = Engine(settings)
    whole = heard(file_of(made(settings, engine=engine)))
    for part in ("Synchformer", "FoleyTransformer", "FoleyDecoder"):
        runs = list[int]()

        def run_out(runs: list[int] = runs) -> None:
            runs.append(1)
            if len(runs) == 1:
                raise torch.OutOfMemoryError

        handle = when_it_runs(part, run_out)
        again = made(settings, engine=engine)
        handle.remove()
        assert len(runs) > 1
        assert any("one part of its model at a time" in note for note in again.video.notes)
        assert engine.loaded is None  # it made room
        assert np.array_equal(heard(file_of(again)), whole)


def test_out_of_memory_twice(settings: Settings, tmp_path: Path) -> None:
    """The job fails, and a fresh worker takes over. Nothing lies on the device."""

    def run_out() -> None:
        raise torch.OutOfMemoryError

    engine = Engine(settings)
    handle = when_it_runs("FoleyTransformer", run_out)
    with pytest.raises(JobError) as caught:
        made(settings, engine=engine)
    handle.remove()
    assert (caught.value.code, caught.value.refresh_worker) == (Code.OUT_OF_MEMORY, True)
    assert engine.loaded is None and engine.sounds.loaded is None
    check_that_nothing_is_left(tmp_path)


def test_room_for_a_silent_job(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sound model stays on a GPU that has room for the video model beside it, and goes from one that has not."""
    free = [100 << 30]
    monkeypatch.setattr(Device, "is_gpu", True)
    monkeypatch.setattr(Device, "free_bytes", property(lambda _: free[0]))
    engine = Engine(settings)
    made(settings, engine=engine)
    made(settings, engine=engine, audio=None)
    assert engine.sounds.loaded == FOLEY_XL.checkpoint
    small = {name: value for name, value in SMALL.items() if name != "audio"}
    plan = make_plan(VideoRequest(api="native", model="sketch", prompt="a red circle", **small), engine.survey())
    held = sum(engine.sounds._parts.weight_bytes(FOLEY_XL, settings.weights_dir / FOLEY_XL.checkpoint.folder).values())
    free[0] = held + engine.prepare(plan, watch_that()).video_bytes
    made(settings, engine=engine, audio=None)
    assert engine.sounds.loaded == FOLEY_XL.checkpoint
    free[0] -= 1
    made(settings, engine=engine, audio=None)
    assert engine.sounds.loaded is None
