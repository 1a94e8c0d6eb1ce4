"""Which files a worker reads before it imports torch: those that it will load first, in the order of a clip."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.handler_process import ROOT, environment
from videoworker.engine import first_files
from videoworker.engine.first_files import in_order_of_use, read_first_files
from videoworker.models.sketch import SKETCH
from videoworker.settings import ROOT as REPOSITORY
from videoworker.settings import Settings

SHIPPED = REPOSITORY / "weights"


def test_text_encoder_comes_first() -> None:
    files = in_order_of_use(SKETCH.checkpoint, SHIPPED / "sketch")
    assert [file.parent.name for file in files] == ["text_encoder", "transformer", "vae"]
    assert all(file.is_file() for file in files)


@pytest.mark.parametrize(("name", "is_read"), [("sketch", True), (None, True), ("mochi", False), ("sketchy", False)])
def test_model_that_is_not_here_is_not_read(tmp_path: Path, name: str | None, is_read: bool) -> None:
    """Nor is that an error: the worker tells it when it loads."""
    here = Settings(weights_dir=SHIPPED, network_volume=tmp_path, model=name)
    assert bool(read_first_files(here, None, takes_video=True)) == is_read


def test_files_of_a_sound_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that serves a sound model alone reads that one's."""
    read = list[str]()
    monkeypatch.setattr(first_files, "read_ahead", lambda files: read.extend(file.parent.name for file in files))
    read_first_files(Settings(weights_dir=SHIPPED, network_volume=tmp_path, model="sketch-foley"), None, True)
    assert read == ["text_encoder", "image_encoder", "synchformer", "transformer", "codec"]


def test_nothing_heavy_is_imported_before() -> None:
    program = "import sys, videoworker.worker.start; print({'torch', 'numpy', 'runpod'} & set(sys.modules))"
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment(), capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == "set()"
