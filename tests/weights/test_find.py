"""Which checkpoints a job can use."""

import shutil
from pathlib import Path

import pytest
import structlog

from tests.conftest import Checkpoint
from tests.variants import EVERY_VARIANT
from tests.watches import watch_that
from videoworker.errors import Code, JobError
from videoworker.models import MODELS
from videoworker.models.cogvideox import COGVIDEOX
from videoworker.models.sketch import SKETCH
from videoworker.models.video_model import VideoModel
from videoworker.settings import Settings
from videoworker.weights.find import LocalCheckpoints
from videoworker.weights.revision import revision


@pytest.mark.parametrize("model", EVERY_VARIANT)
def test_absent(tmp_path: Path, model: VideoModel) -> None:
    """The error names the way to fetch the weights, and no path."""
    checkpoint = model.checkpoint
    with pytest.raises(JobError) as caught:
        LocalCheckpoints(Settings(weights_dir=tmp_path)).bring(checkpoint, watch_that())
    error = caught.value
    assert error.code is Code.MODEL_NOT_LOADED
    start = f"The weights of {checkpoint.title} are not installed. To fetch them ({checkpoint.licence})"
    assert error.message == f"{start}: {checkpoint.how_to_fetch}"
    assert str(tmp_path) not in error.message


@pytest.mark.parametrize("model", ["hunyuanvideo", "hunyuanvideo-1.5", "open-sora"])
def test_licence_not_accepted(tmp_path: Path, model: str) -> None:
    """Leave to download is not enough: the error names the licence, whom it leaves out, and every way to accept it."""
    checkpoint = MODELS[model].checkpoint
    local = LocalCheckpoints(Settings(weights_dir=tmp_path / "weights", allow_download=True))
    with pytest.raises(JobError) as caught:
        local.bring(checkpoint, watch_that())
    assert caught.value.code is Code.MODEL_NOT_LOADED
    assert caught.value.message == (
        f"The weights of {model} are fetched only if you accept their licence, {checkpoint.licence}. "
        f"{checkpoint.territory} To accept it: answer the question of `videoworker fetch {model}` on a terminal, add "
        "--accept-license to that command, or set ACCEPT_TENCENT_LICENSE=true (at an image's build: --build-arg "
        "ACCEPT_TENCENT_LICENSE=true)."
    )
    assert not (tmp_path / "weights").exists()


def test_own_folder(image_checkpoint: Path, tmp_path: Path) -> None:
    """Weights are found in the folder of their own variant."""
    folder = Path(shutil.copytree(image_checkpoint, tmp_path / SKETCH.checkpoint.folder))
    local = LocalCheckpoints(Settings(weights_dir=tmp_path))
    assert local.bring(SKETCH.checkpoint, watch_that()).folder == folder
    with pytest.raises(JobError):
        local.bring(COGVIDEOX.checkpoint, watch_that())


def test_looked_for_once(image_checkpoint: Path, tmp_path: Path) -> None:
    """What comes later is seen by the next job alone."""
    settings = Settings(weights_dir=tmp_path)
    local = LocalCheckpoints(settings)
    assert local.locate(SKETCH.checkpoint) is None
    shutil.copytree(image_checkpoint, tmp_path / SKETCH.checkpoint.folder)
    assert local.locate(SKETCH.checkpoint) is None
    assert LocalCheckpoints(settings).locate(SKETCH.checkpoint) is not None


@pytest.mark.parametrize("pinned", [True, False], ids=["the pinned commit", "another commit"])
def test_cached_commit(cogvideox_checkpoint: Checkpoint, tmp_path: Path, pinned: bool) -> None:
    """A cached model of another commit than the pinned one is used, and the log has a warning."""
    commit = COGVIDEOX.checkpoint.revision if pinned else "0a5f4f8f5f5b7a6f2d9f4b4e1f0d6c3b2a190807"
    snapshots = tmp_path / "volume" / "huggingface-cache" / "hub" / "models--zai-org--cogvideox-2b" / "snapshots"
    shutil.copytree(cogvideox_checkpoint("2b"), snapshots / str(commit))
    local = LocalCheckpoints(Settings(weights_dir=tmp_path / "weights", network_volume=tmp_path / "volume"))
    with structlog.testing.capture_logs() as logged:
        found = local.bring(COGVIDEOX.checkpoint, watch_that())
    assert revision(found.folder) == commit
    warnings = [(line["commit"], line["pinned"]) for line in logged if line["log_level"] == "warning"]
    assert warnings == ([] if pinned else [(commit, COGVIDEOX.checkpoint.revision)])


def test_own_folder_has_no_pin(cogvideox_checkpoint: Checkpoint, tmp_path: Path) -> None:
    """Weights in a folder of their own are not held against the pin."""
    shutil.copytree(cogvideox_checkpoint("2b"), tmp_path / COGVIDEOX.checkpoint.folder)
    with structlog.testing.capture_logs() as logged:
        LocalCheckpoints(Settings(weights_dir=tmp_path)).bring(COGVIDEOX.checkpoint, watch_that())
    assert [line["log_level"] for line in logged] == ["info"]
