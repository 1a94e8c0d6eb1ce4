"""Converts what is published in another layout into a checkpoint's folder, whole or not at all."""

import shutil
from importlib import import_module
from pathlib import Path

from videoworker.errors import Code, JobError
from videoworker.models.checkpoint import Checkpoint
from videoworker.weights import manifest
from videoworker.weights.verify import verify


def convert_published(checkpoint: Checkpoint, published: Path, to: Path) -> tuple[Path, dict[str, list[str]]]:
    """Writes the checkpoint's folder in `to`, with a manifest. Returns it, and the tensors that were not expected and
    are left out, by file.

    `published` has a folder for each origin of the checkpoint, called as its repository. Raises `JobError` if the
    checkpoint is there already, if a file or tensor is missing, or if a file holds anything but tensors.
    """
    folder = to / checkpoint.folder
    if folder.exists():
        raise JobError(Code.INVALID_FIELD, f"{folder} is there already; remove it to convert {checkpoint.title} again.")
    partial = folder.with_name(f".{folder.name}.converted")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        unexpected = import_module(f"videoworker.weights.layouts.{checkpoint.layout}").convert(
            checkpoint, published, partial
        )
        verify(checkpoint, partial)
        hashes = {file.relative_to(partial).as_posix(): manifest.sha256(file) for file in manifest.files_in(partial)}
        manifest.write(partial, hashes)
    except JobError:
        shutil.rmtree(partial)
        raise
    partial.rename(folder)
    return folder, unexpected
