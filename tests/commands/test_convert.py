"""`videoworker convert` as its user meets it."""

from pathlib import Path

import torch
from safetensors.torch import load_file

from tests.commands.command_line import run


def test_a_pickle_is_converted_beside_itself(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(2)}, tmp_path / "pytorch_model.bin")
    (tmp_path / "pytorch_model.bin").chmod(0o640)
    done = run("convert", "pytorch_model.bin", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "wrote model.safetensors\n")
    assert load_file(tmp_path / "model.safetensors")["a"].tolist() == [1, 1]
    assert (tmp_path / "model.safetensors").stat().st_mode & 0o777 == 0o640


def test_what_cannot_be_converted_ends_with_one_line(tmp_path: Path) -> None:
    (tmp_path / "model.pth").write_bytes(b"nothing of the kind")
    done = run("convert", "model.pth", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("model.pth is refused: ") and done.stderr.count("\n") == 1
