"""Whether a model's weights are there, and which they are."""

import shutil
from pathlib import Path

import pytest
import structlog
from safetensors.torch import load_file, save_file

from videoworker.engine import weights
from videoworker.errors import Code, JobError
from videoworker.models import MODELS, VARIANTS
from videoworker.models.cogvideox import COGVIDEOX, SKETCH
from videoworker.models.declaration import Model
from videoworker.settings import Settings

COMPONENTS = ["text_encoder", "transformer", "vae"]
EVERY_VARIANT = [pytest.param(variant, id=variant.folder) for variants in VARIANTS.values() for variant in variants]


@pytest.fixture
def checkpoint(image_checkpoint: Path, tmp_path: Path) -> Path:
    """A copy of the small checkpoint that a test may break."""
    return Path(shutil.copytree(image_checkpoint, tmp_path / SKETCH.folder))


@pytest.mark.parametrize("model", EVERY_VARIANT)
def test_absent_weights_are_named_with_the_way_to_fetch_them_and_no_path(tmp_path: Path, model: Model) -> None:
    with pytest.raises(JobError) as caught:
        weights.find(model, Settings(weights_dir=tmp_path))
    error = caught.value
    assert error.code is Code.MODEL_NOT_LOADED
    assert error.message.startswith(f"The weights of {model.title} are not installed. To fetch them ({model.licence})")
    fetch = model.how_to_fetch
    assert error.message.endswith(fetch if model.runner else f"{fetch} (but this version cannot run them yet)")
    assert str(tmp_path) not in error.message


def test_weights_are_found_in_the_models_own_folder(checkpoint: Path) -> None:
    assert weights.find(SKETCH, Settings(weights_dir=checkpoint.parent)).folder == checkpoint
    with pytest.raises(JobError):
        weights.find(MODELS["cogvideox"], Settings(weights_dir=checkpoint.parent))


def test_the_same_files_are_the_same_revision_wherever_they_lie(checkpoint: Path, image_checkpoint: Path) -> None:
    assert weights.revision(checkpoint) == weights.revision(image_checkpoint)
    assert len(weights.revision(checkpoint)) == 12


@pytest.mark.parametrize("component", COMPONENTS)
@pytest.mark.parametrize("which", [0, -1])
def test_another_number_in_a_file_is_another_revision(checkpoint: Path, component: str, which: int) -> None:
    before = weights.revision(checkpoint)
    (file,) = (checkpoint / component).glob("*.safetensors")
    tensors = load_file(file)
    name = sorted(tensors)[which]
    save_file(tensors | {name: tensors[name] + 1}, file, metadata={"format": "pt"})
    assert weights.revision(checkpoint) != before


def test_a_number_at_the_end_of_a_large_file_is_part_of_the_revision(tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    file.write_bytes(bytes(500_000) + b"\x01")
    before = weights.revision(tmp_path)
    file.write_bytes(bytes(500_000) + b"\x02")
    assert weights.revision(tmp_path) != before


def test_a_file_moved_to_another_component_is_another_revision(checkpoint: Path) -> None:
    before = weights.revision(checkpoint)
    (checkpoint / "vae").rename(checkpoint / "vae_2")
    assert weights.revision(checkpoint) != before


def test_a_snapshot_of_the_hubs_cache_is_the_hubs_commit(image_checkpoint: Path, tmp_path: Path) -> None:
    snapshot = tmp_path / "snapshots" / "1137dacfc2c9c012bed6a0793f4ecf2ca8e7ba01"
    shutil.copytree(image_checkpoint, snapshot)
    (tmp_path / "sketch").symlink_to(snapshot)
    assert weights.revision(tmp_path / "sketch") == snapshot.name


@pytest.mark.parametrize("pinned", [True, False], ids=["the pinned commit", "another commit"])
def test_a_cached_model_of_another_commit_than_the_pinned_one_is_used_and_logged(tmp_path: Path, pinned: bool) -> None:
    commit = COGVIDEOX.revision if pinned else "0a5f4f8f5f5b7a6f2d9f4b4e1f0d6c3b2a190807"
    snapshots = tmp_path / "volume" / "huggingface-cache" / "hub" / "models--zai-org--cogvideox-2b" / "snapshots"
    (snapshots / str(commit)).mkdir(parents=True)
    (snapshots / str(commit) / "model_index.json").write_text("{}")
    settings = Settings(weights_dir=tmp_path / "weights", network_volume=tmp_path / "volume")
    with structlog.testing.capture_logs() as logged:
        found = weights.find(COGVIDEOX, settings)
    assert weights.revision(found.folder) == commit
    warnings = [(line["commit"], line["pinned"]) for line in logged if line["log_level"] == "warning"]
    assert warnings == ([] if pinned else [(commit, COGVIDEOX.revision)])


def test_weights_in_a_folder_of_their_own_are_not_held_against_the_pin(tmp_path: Path) -> None:
    (tmp_path / COGVIDEOX.folder).mkdir()
    (tmp_path / COGVIDEOX.folder / "model_index.json").write_text("{}")
    with structlog.testing.capture_logs() as logged:
        weights.find(COGVIDEOX, Settings(weights_dir=tmp_path))
    assert [line["log_level"] for line in logged] == ["info"]
