"""`videoworker models` says what there is, where it is, and what is wrong with it."""

import re
import shutil
from pathlib import Path

import pytest

from builder.tiny import cogvideox
from tests.commands.command_line import run
from videoworker.models import DECLARED


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], Path]:
    """What is printed where 2B is whole, 5B is cut short, and nothing else is installed."""
    folder = tmp_path_factory.mktemp("weights")
    cogvideox.save(folder / "cogvideox", "2b")
    shutil.copytree(folder / "cogvideox", folder / "cogvideox-5b")
    (folder / "cogvideox-5b" / "vae" / "diffusion_pytorch_model.safetensors").write_bytes(b"cut")
    done = run("models", WEIGHTS_DIR=str(folder), NETWORK_VOLUME=str(folder / "none"))
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines(), folder


def row(lines: list[str], *cells: str) -> list[str]:
    (found,) = [line for line in lines if re.split(r"\s{2,}", line)[: len(cells)] == list(cells)]
    return re.split(r"\s{2,}", found)


def test_every_model_and_variant_has_a_row(listed: tuple[list[str], Path]) -> None:
    for name, variants in DECLARED.items():
        for model in variants:
            assert row(listed[0], name, model.variant or "-")[5] == model.checkpoint.licence


def test_what_is_installed_is_shown_with_its_place_and_bytes(listed: tuple[list[str], Path]) -> None:
    lines, folder = listed
    size = sum(file.stat().st_size for file in (folder / "cogvideox").rglob("*.safetensors"))
    assert row(lines, "cogvideox", "2b")[2:] == [
        "text",
        f"{size / 1e9:.3f}",
        "a GPU",
        "Apache-2.0",
        f"WEIGHTS_DIR: {folder / 'cogvideox'}",
    ]


def test_what_is_not_installed_is_shown_with_what_it_takes(listed: tuple[list[str], Path]) -> None:
    lines, _ = listed
    assert row(lines, "hunyuanvideo", "i2v")[2:4] == ["image", "~43.1"]
    assert row(lines, "hunyuanvideo-1.5", "1080p-sr")[2:5] == ["its videos", "~16.9", "a GPU, an accepted licence"]
    assert row(lines, "foley", "xl")[2:5] == ["video, text", "~7.2", "a GPU, an accepted licence"]
    assert row(lines, "sketch", "-")[2:] == ["text, image", "~0.026", "nothing", "Apache-2.0", "-"]
    assert "To get one: videoworker fetch MODEL [--variant VARIANT]" in lines


def test_what_licences_restrict_is_said_once_each(listed: tuple[list[str], Path]) -> None:
    notes = {note for variants in DECLARED.values() for model in variants for note in model.checkpoint.notes}
    assert len(notes) >= 3
    for note in notes:
        assert len([line for line in listed[0] if line.endswith(note)]) == 1


def test_what_is_wrong_with_files_is_said(listed: tuple[list[str], Path]) -> None:
    said = "The weights of cogvideox 5b are not whole: vae/diffusion_pytorch_model.safetensors is cut short"
    assert [line for line in listed[0] if line.startswith("The weights of ")] == [
        line for line in listed[0] if line.startswith(said)
    ]
