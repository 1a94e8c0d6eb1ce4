"""Where weights are looked for, and in which order."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from videoworker.models.checkpoint import Checkpoint
from videoworker.models.cogvideox import COGVIDEOX as MODEL
from videoworker.models.hunyuanvideo_1_5 import SR_1080P
from videoworker.models.open_sora import OPEN_SORA
from videoworker.models.sketch import SKETCH
from videoworker.settings import Settings
from videoworker.weights import places

COGVIDEOX = MODEL.checkpoint
SR = SR_1080P.checkpoint

PINNED = str(COGVIDEOX.revision)
OTHER, THIRD = "0a5f4f8f5f5b7a6f2d9f4b4e1f0d6c3b2a190807", "f0b1c2d3e4f5a6b7c8d9e0f1a2b3c4d5e6f70819"
UNPINNED = replace(COGVIDEOX, revision=None)
HUBS = ["cache", "volume/huggingface-cache/hub"]


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(places, "HF_HUB_CACHE", str(tmp_path / "cache"))
    return Settings(weights_dir=tmp_path / "weights", network_volume=tmp_path / "volume")


def installed(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "model_index.json").write_text("{}")
    return folder


def cached(hub: Path, commit: str = PINNED, name: str = "models--zai-org--CogVideoX-2b", main: str = "") -> Path:
    if main:
        (hub / name / "refs").mkdir(parents=True)
        (hub / name / "refs" / "main").write_text(main)
    return installed(hub / name / "snapshots" / commit)


def test_the_places_are_searched_in_their_order(settings: Settings, tmp_path: Path) -> None:
    """From the last to the first: each that is added goes before those that are there."""
    added: list[tuple[str, Callable[[], Path]]] = [
        ("the Hugging Face cache", lambda: cached(tmp_path / "cache")),
        ("RunPod's cached model", lambda: cached(tmp_path / "volume" / "huggingface-cache" / "hub")),
        ("the network volume", lambda: installed(tmp_path / "volume" / "weights" / "cogvideox")),
        ("WEIGHTS_DIR", lambda: installed(tmp_path / "weights" / "cogvideox")),
    ]
    assert places.locate(COGVIDEOX, settings) is None
    for place, add in added:
        folder = add()
        assert places.locate(COGVIDEOX, settings) == places.Found(place, folder)


@pytest.mark.parametrize("name", ["models--zai-org--cogvideox-2b", "models--ZAI-ORG--COGVIDEOX-2B"])
def test_the_case_of_a_cached_models_folder_does_not_matter(settings: Settings, tmp_path: Path, name: str) -> None:
    folder = cached(tmp_path / "volume" / "huggingface-cache" / "hub", name=name)
    found = places.locate(COGVIDEOX, settings)
    assert found and found.folder == folder


@pytest.mark.parametrize("hub", HUBS)
def test_of_several_commits_the_pinned_one_is_taken_whatever_main_was(
    settings: Settings, tmp_path: Path, hub: str
) -> None:
    for commit in (OTHER, PINNED, THIRD):
        cached(tmp_path / hub, commit, main=OTHER if commit == OTHER else "")
    found = places.locate(COGVIDEOX, settings)
    assert found and found.folder.name == PINNED


@pytest.mark.parametrize("hub", HUBS)
@pytest.mark.parametrize("model", [COGVIDEOX, UNPINNED], ids=["pinned", "not pinned"])
def test_where_the_pinned_commit_is_not_there_the_one_that_main_was_is_taken(
    settings: Settings, tmp_path: Path, hub: str, model: Checkpoint
) -> None:
    for commit in (OTHER, THIRD):
        cached(tmp_path / hub, commit, main=THIRD if commit == OTHER else "")
    found = places.locate(model, settings)
    assert found and found.folder.name == THIRD


@pytest.mark.parametrize("main", ["", PINNED], ids=["no main", "main without a checkpoint"])
def test_where_main_is_not_there_either_any_commit_is_taken(settings: Settings, tmp_path: Path, main: str) -> None:
    cached(tmp_path / "cache", OTHER, main=main)
    (tmp_path / "cache" / "models--zai-org--CogVideoX-2b" / "snapshots" / PINNED).mkdir()
    found = places.locate(COGVIDEOX, settings)
    assert found and found.folder.name == OTHER


def test_another_repository_whose_name_begins_alike_is_not_the_model(settings: Settings, tmp_path: Path) -> None:
    cached(tmp_path / "cache", name="models--zai-org--CogVideoX-2b-distilled")
    assert places.locate(COGVIDEOX, settings) is None


def test_a_folder_without_a_model_index_is_passed_over(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "weights" / "cogvideox").mkdir(parents=True)
    folder = installed(tmp_path / "volume" / "weights" / "cogvideox")
    assert places.locate(COGVIDEOX, settings) == places.Found("the network volume", folder)


def test_the_size_is_that_of_all_components_safetensors_files(image_checkpoint: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(image_checkpoint, tmp_path / "copy"))
    whole = sum(len(file.read_bytes()) for file in folder.rglob("*.safetensors"))
    (folder / "everything-in-one.safetensors").write_bytes(b"some repositories have this too")
    assert places.size(SKETCH.checkpoint, folder) == whole


@pytest.mark.parametrize("hub", HUBS)
def test_a_checkpoint_without_a_model_index_is_known_by_its_first_file(
    settings: Settings, tmp_path: Path, hub: str
) -> None:
    snapshot = tmp_path / hub / "models--hpcai-tech--Open-Sora-v2" / "snapshots" / OTHER
    snapshot.mkdir(parents=True)
    assert places.locate(OPEN_SORA.checkpoint, settings) is None
    (snapshot / "Open_Sora_v2.safetensors").write_bytes(b"12")
    (snapshot / "hunyuan_vae.safetensors").write_bytes(b"345")
    (snapshot / "flux1-dev.safetensors").write_bytes(b"6")
    found = places.locate(OPEN_SORA.checkpoint, settings)
    assert found is not None and found.folder == snapshot
    assert places.size(OPEN_SORA.checkpoint, snapshot) == 5


def test_a_snapshot_without_an_index(settings: Settings, tmp_path: Path) -> None:
    """A repository of which some folders are taken is known by the first of them."""
    snapshot = tmp_path / "cache" / "models--tencent--HunyuanVideo-1.5" / "snapshots" / str(SR.revision)
    (snapshot / "transformer" / "720p_t2v").mkdir(parents=True)
    assert places.locate(SR, settings) is None
    (snapshot / "transformer" / "1080p_sr_distilled").mkdir()
    (snapshot / "transformer" / "1080p_sr_distilled" / "config.json").write_text("{}")
    assert places.locate(SR, settings) == places.Found("the Hugging Face cache", snapshot)
