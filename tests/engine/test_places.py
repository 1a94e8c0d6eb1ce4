"""Where weights are looked for, and in which order."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from videoworker.engine import places
from videoworker.models.cogvideox import COGVIDEOX
from videoworker.settings import Settings

COMMIT, OTHER = "1137dacfc2c9c012bed6a0793f4ecf2ca8e7ba01", "0a5f4f8f5f5b7a6f2d9f4b4e1f0d6c3b2a190807"


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(places, "HF_HUB_CACHE", str(tmp_path / "cache"))
    return Settings(weights_dir=tmp_path / "weights", network_volume=tmp_path / "volume")


def installed(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "model_index.json").write_text("{}")
    return folder


def cached(hub: Path, commit: str = COMMIT, name: str = "models--zai-org--CogVideoX-2b", main: str = "") -> Path:
    if main:
        (hub / name / "refs").mkdir(parents=True)
        (hub / name / "refs" / "main").write_text(main)
    return installed(hub / name / "snapshots" / commit)


def test_the_places_are_searched_in_their_order(settings: Settings, tmp_path: Path) -> None:
    """From the last to the first: each that is added goes before those that are there."""
    added = [
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


def test_of_several_commits_the_one_that_main_was_is_taken(settings: Settings, tmp_path: Path) -> None:
    for commit in (COMMIT, OTHER):
        cached(tmp_path / "cache", commit, main=OTHER if commit == COMMIT else "")
    found = places.locate(COGVIDEOX, settings)
    assert found and found.folder.name == OTHER


def test_a_pinned_model_is_only_found_at_its_commit(settings: Settings, tmp_path: Path) -> None:
    cached(tmp_path / "cache", OTHER, main=OTHER)
    pinned = replace(COGVIDEOX, revision=COMMIT)
    assert places.locate(pinned, settings) is None
    cached(tmp_path / "cache", COMMIT)
    found = places.locate(pinned, settings)
    assert found and found.folder.name == COMMIT


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
    assert places.size(folder) == whole
