"""`videoworker convert` as its user meets it."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from builder.tiny import foley
from tests.forks import Forks
from videoworker.cli import app


def test_a_pickle_is_converted_beside_itself(tmp_path: Path, forks: Forks) -> None:
    torch.save({"a": torch.ones(2)}, tmp_path / "pytorch_model.bin")
    (tmp_path / "pytorch_model.bin").chmod(0o640)
    done = forks.run_command(tmp_path, "convert", "pytorch_model.bin")
    assert (done.returncode, done.stdout) == (0, "wrote model.safetensors\n")
    assert load_file(tmp_path / "model.safetensors")["a"].tolist() == [1, 1]
    assert (tmp_path / "model.safetensors").stat().st_mode & 0o777 == 0o640


def test_what_cannot_be_converted_ends_with_one_line(tmp_path: Path, forks: Forks) -> None:
    (tmp_path / "model.pth").write_bytes(b"nothing of the kind")
    done = forks.run_command(tmp_path, "convert", "model.pth")
    assert done.returncode == 1
    assert done.stderr.startswith("model.pth is refused: ") and done.stderr.count("\n") == 1


def test_a_model_is_converted_into_its_folder(tmp_path: Path, forks: Forks) -> None:
    foley.publish(tmp_path / "published", "xl")
    done = forks.run_command(tmp_path, "convert", "foley", "published", "--variant", "xl", "--to", "weights")
    assert (done.returncode, done.stdout) == (
        0,
        "left out of hunyuanvideo_foley_xl.pth, because nothing is known of them: repa_projector.weight\n"
        "foley xl is in weights/foley-xl\n",
    )
    assert (tmp_path / "weights" / "foley-xl" / "model_index.json").is_file()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["sora"], "'sora' is not one of"),
        (["ltx"], "ltx is published as it is used"),
        (["foley", "--variant", "s"], "'s' is not one of xxl, xl"),
    ],
)
def test_a_model_that_needs_no_conversion(tmp_path: Path, arguments: list[str], complaint: str) -> None:
    model, *options = arguments
    done = CliRunner().invoke(app, ["convert", model, str(tmp_path), *options])
    assert done.exit_code == 2
    assert complaint in " ".join(done.output.replace("│", " ").split())
