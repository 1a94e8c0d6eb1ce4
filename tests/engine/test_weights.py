"""Whether a model's weights are there, whole, and which they are."""

import json
import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from videoworker.engine import weights
from videoworker.errors import Code, JobError
from videoworker.models import MODELS
from videoworker.models.cogvideox import COGVIDEOX, SKETCH

COMPONENTS = ["text_encoder", "transformer", "vae"]


@pytest.fixture
def checkpoint(image_checkpoint: Path, tmp_path: Path) -> Path:
    """A copy of the small checkpoint that a test may break."""
    return Path(shutil.copytree(image_checkpoint, tmp_path / SKETCH.folder))


def refused(weights_dir: Path, name: str = "sketch") -> JobError:
    with pytest.raises(JobError) as caught:
        weights.find(MODELS[name], weights_dir)
    return caught.value


@pytest.mark.parametrize("name", list(MODELS))
def test_absent_weights_are_named_with_the_way_to_fetch_them_and_no_path(tmp_path: Path, name: str) -> None:
    error = refused(tmp_path, name)
    assert error.code is Code.MODEL_NOT_LOADED
    assert error.message.startswith(f"The weights of {name} are not installed. To fetch them")
    fetch = f"hf download {MODELS[name].repository} --local-dir weights/{MODELS[name].folder}"
    runs = MODELS[name].runner is not None
    assert error.message.endswith(fetch if runs else f"{fetch} (but this version cannot run them yet)")
    assert MODELS[name].licence in error.message
    assert str(tmp_path) not in error.message
    assert not weights.is_installed(MODELS[name], tmp_path)


def test_whole_weights_are_found_in_the_models_own_folder(checkpoint: Path) -> None:
    assert weights.find(SKETCH, checkpoint.parent) == checkpoint
    assert weights.is_installed(SKETCH, checkpoint.parent)
    assert not weights.is_installed(COGVIDEOX, checkpoint.parent)


@pytest.mark.parametrize("component", COMPONENTS)
def test_a_component_without_its_file_is_named(checkpoint: Path, component: str) -> None:
    for file in (checkpoint / component).glob("*.safetensors"):
        file.unlink()
    error = refused(checkpoint.parent)
    assert error.code is Code.MODEL_NOT_LOADED
    assert f"not whole: no safetensors file in {component}." in error.message
    assert SKETCH.how_to_fetch in error.message
    assert str(checkpoint) not in error.message


def test_every_missing_component_is_named_at_once(checkpoint: Path) -> None:
    for component in COMPONENTS:
        shutil.rmtree(checkpoint / component)
    assert all(component in refused(checkpoint.parent).message for component in COMPONENTS)


def test_a_second_tokenizer_needs_no_weights(checkpoint: Path) -> None:
    index = checkpoint / "model_index.json"
    index.write_text(json.dumps(json.loads(index.read_text()) | {"tokenizer_2": ["transformers", "CLIPTokenizer"]}))
    assert weights.find(SKETCH, checkpoint.parent) == checkpoint


def test_the_size_is_that_of_all_safetensors_files(checkpoint: Path) -> None:
    files = [file for component in COMPONENTS for file in (checkpoint / component).glob("*.safetensors")]
    assert len(files) == len(COMPONENTS)
    assert weights.size(checkpoint) == sum(len(file.read_bytes()) for file in files)


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
