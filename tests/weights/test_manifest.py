"""Every byte of a checkpoint is compared with what was fetched, published, or committed."""

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.handler_process import ROOT
from videoworker.cli import app
from videoworker.errors import Code, JobError
from videoworker.models.sketch import SKETCH
from videoworker.settings import settings
from videoworker.weights import manifest
from videoworker.weights.verify import verify

FILES = ["transformer/diffusion_pytorch_model.safetensors", "tokenizer/tokenizer.json", "model_index.json"]


@pytest.fixture
def folder(image_checkpoint: Path, tmp_path: Path) -> Path:
    """A whole checkpoint with its manifest."""
    folder = Path(shutil.copytree(image_checkpoint, tmp_path / "weights" / "sketch"))
    manifest.write(
        folder, {one.relative_to(folder).as_posix(): manifest.sha256(one) for one in manifest.files_in(folder)}
    )
    return folder


def zeroed(file: Path) -> None:
    """Zeros in its middle; its size and its header stay."""
    content = bytearray(file.read_bytes())
    content[-200:-100] = bytes(100)
    file.write_bytes(content)


def refused(folder: Path) -> str:
    with pytest.raises(JobError) as caught:
        manifest.check(SKETCH.checkpoint, folder)
    assert caught.value.code is Code.MODEL_NOT_LOADED
    return caught.value.message


def test_a_whole_checkpoint(folder: Path) -> None:
    read: list[int] = []
    files = manifest.files_in(folder)
    assert manifest.check(SKETCH.checkpoint, folder, read.append) == len(files)
    assert sum(read) == manifest.size(folder) == sum(file.stat().st_size for file in files)


def test_sha256sum_reads_the_manifest(folder: Path) -> None:
    assert subprocess.run(["sha256sum", "--check", "--quiet", manifest.NAME], cwd=folder).returncode == 0


@pytest.mark.parametrize("name", FILES)
def test_a_changed_file_is_named(folder: Path, name: str) -> None:
    zeroed(folder / name)
    if name.endswith(".safetensors"):
        verify(SKETCH.checkpoint, folder)  # headers say nothing of it
    assert f"damaged: {name} is not what it was." in refused(folder)


def test_all_problems_are_said_at_once(folder: Path) -> None:
    zeroed(folder / FILES[0])
    (folder / FILES[1]).unlink()
    assert f"{FILES[1]} is missing; {FILES[0]} is not what it was." in refused(folder)


def test_a_folder_without_a_manifest(folder: Path) -> None:
    (folder / manifest.NAME).unlink()
    assert f"nothing to compare the files of sketch with: no {manifest.NAME} lies beside them" in refused(folder)


def test_a_manifest_of_another_form(folder: Path) -> None:
    (folder / manifest.NAME).write_text("md5 of something\n")
    assert "'md5 of something'" in refused(folder)


def test_a_snapshot_of_the_hubs_cache(folder: Path, tmp_path: Path) -> None:
    """Large files are called by their SHA-256 there, others as git calls them."""
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots" / "a"
    blobs.mkdir()
    for file in manifest.files_in(folder):
        content, link = file.read_bytes(), snapshot / file.relative_to(folder)
        is_large = file.suffix == ".safetensors"
        digest = hashlib.sha256(content) if is_large else hashlib.sha1(b"blob %d\0" % len(content) + content)
        (blobs / digest.hexdigest()).write_bytes(content)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(blobs / digest.hexdigest())
    assert manifest.check(SKETCH.checkpoint, snapshot) == len(manifest.files_in(folder))
    for name in FILES:
        zeroed(snapshot / name)
        assert f"{name} is not what it was" in refused(snapshot)


def test_the_shipped_weights_are_those_of_their_manifest() -> None:
    shipped = ROOT / "weights" / "sketch"
    count = len([file for file in manifest.files_in(shipped) if file.suffix != ".md"])
    assert manifest.check(SKETCH.checkpoint, shipped) == count


def test_the_command(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEIGHTS_DIR", str(folder.parent))
    settings.cache_clear()
    try:
        whole = CliRunner().invoke(app, ["verify", "sketch"])
        assert whole.exit_code == 0
        assert f"sketch is whole: {len(manifest.files_in(folder))} files in {folder}" in whole.stdout
        assert "100%" in whole.stderr
        zeroed(folder / FILES[0])
        damaged = CliRunner().invoke(app, ["verify", "sketch"])
        assert isinstance(damaged.exception, JobError) and FILES[0] in damaged.exception.message
        absent = CliRunner().invoke(app, ["verify", "cogvideox", "--variant", "5b"])
        assert isinstance(absent.exception, JobError) and "not installed" in absent.exception.message
    finally:
        settings.cache_clear()
