"""Where a model's weights lie, whether they are all there, and which revision they are."""

import hashlib
import json
from pathlib import Path

from videoworker.errors import Code, JobError
from videoworker.models.declaration import Model

_FINGERPRINT_BYTES = 1 << 16


def find(model: Model, weights_dir: Path) -> Path:
    """The folder with the model's files in diffusers layout. Raises `JobError` MODEL_NOT_LOADED that says how to get
    them where they are absent or not whole."""
    folder = weights_dir / model.folder
    if not is_installed(model, weights_dir):
        raise JobError(
            Code.MODEL_NOT_LOADED,
            f"The weights of {model.name} are not installed. To fetch them ({model.licence}): {model.how_to_fetch}"
            + ("" if model.runner else " (but this version cannot run them yet)"),
        )
    missing = [name for name in _networks(folder) if not list((folder / name).glob("*.safetensors"))]
    if missing:
        raise JobError(
            Code.MODEL_NOT_LOADED,
            f"The weights of {model.name} are not whole: no safetensors file in {', '.join(missing)}. "
            f"To fetch them again: {model.how_to_fetch}",
        )
    return folder


def is_installed(model: Model, weights_dir: Path) -> bool:
    return (weights_dir / model.folder / "model_index.json").is_file()


def size(folder: Path) -> int:
    """Bytes of all safetensors files."""
    return sum(file.stat().st_size for file in folder.rglob("*.safetensors"))


def revision(folder: Path) -> str:
    """The hub's commit where the folder is a snapshot of its cache; else a fingerprint of the files themselves: their
    names and sizes, and the first and last 64 KiB of each: its header and some of its numbers."""
    resolved = folder.resolve()
    if resolved.parent.name == "snapshots":
        return resolved.name
    digest = hashlib.sha256()
    for file in sorted(folder.rglob("*.safetensors")):
        digest.update(f"{file.relative_to(folder).as_posix()} {file.stat().st_size}\n".encode())
        with file.open("rb") as opened:
            digest.update(opened.read(_FINGERPRINT_BYTES))
            opened.seek(max(opened.tell(), file.stat().st_size - _FINGERPRINT_BYTES))
            digest.update(opened.read())
    return digest.hexdigest()[:12]


def _networks(folder: Path) -> list[str]:
    """The components of `model_index.json` that have weights of their own."""
    index = json.loads((folder / "model_index.json").read_text())
    return [name for name in index if not name.startswith(("_", "tokenizer", "scheduler"))]
