"""Which revision a checkpoint's files are."""

import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from videoworker.models.sketch import SKETCH
from videoworker.weights.revision import revision

COMPONENTS = ["text_encoder", "transformer", "vae"]


@pytest.fixture
def checkpoint(image_checkpoint: Path, tmp_path: Path) -> Path:
    """A copy of the small checkpoint that a test may break."""
    return Path(shutil.copytree(image_checkpoint, tmp_path / SKETCH.checkpoint.folder))


def test_the_same_files_are_the_same_revision_wherever_they_lie(checkpoint: Path, image_checkpoint: Path) -> None:
    assert revision(checkpoint) == revision(image_checkpoint)
    assert len(revision(checkpoint)) == 12


@pytest.mark.parametrize("component", COMPONENTS)
@pytest.mark.parametrize("which", [0, -1])
def test_another_number_in_a_file_is_another_revision(checkpoint: Path, component: str, which: int) -> None:
    before = revision(checkpoint)
    (file,) = (checkpoint / component).glob("*.safetensors")
    tensors = load_file(file)
    name = sorted(tensors)[which]
    save_file(tensors | {name: tensors[name] + 1}, file, metadata={"format": "pt"})
    assert revision(checkpoint) != before


def test_a_number_at_the_end_of_a_large_file_is_part_of_the_revision(tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    file.write_bytes(bytes(500_000) + b"\x01")
    before = revision(tmp_path)
    file.write_bytes(bytes(500_000) + b"\x02")
    assert revision(tmp_path) != before


def test_a_file_moved_to_another_component_is_another_revision(checkpoint: Path) -> None:
    before = revision(checkpoint)
    (checkpoint / "vae").rename(checkpoint / "vae_2")
    assert revision(checkpoint) != before


def test_a_snapshot_of_the_hubs_cache_is_the_hubs_commit(image_checkpoint: Path, tmp_path: Path) -> None:
    snapshot = tmp_path / "snapshots" / "1137dacfc2c9c012bed6a0793f4ecf2ca8e7ba01"
    shutil.copytree(image_checkpoint, snapshot)
    (tmp_path / "sketch").symlink_to(snapshot)
    assert revision(tmp_path / "sketch") == snapshot.name
