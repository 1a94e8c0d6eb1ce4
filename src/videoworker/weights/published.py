"""Checkpoints that are published in another layout: fetched, and converted into their folder, whole or not at all."""

import shutil
from importlib import import_module
from pathlib import Path

import structlog
from huggingface_hub import snapshot_download

from videoworker.errors import Code, JobError
from videoworker.models.checkpoint import Checkpoint
from videoworker.weights.verify import verify

_log = structlog.get_logger()


def fetch_published(checkpoint: Checkpoint, folder: Path) -> None:
    """Brings the published files, and makes the checkpoint's `folder` of them. What has come of them stays if this is
    interrupted, and goes when it is done. Raises as huggingface_hub and `convert_published` do."""
    published = folder.with_name(f".{folder.name}.published")
    for origin in checkpoint.origins:
        target = published / origin.folder
        snapshot_download(
            origin.repository, revision=origin.revision, local_dir=target, allow_patterns=list(origin.files)
        )
    shutil.rmtree(folder, ignore_errors=True)  # if it is there, it is not whole
    _, unexpected = convert_published(checkpoint, published, folder.parent)
    for file, names in unexpected.items():
        _log.warning("unknown tensors left out", file=file, names=names)
    shutil.rmtree(published)


def convert_published(checkpoint: Checkpoint, published: Path, to: Path) -> tuple[Path, dict[str, list[str]]]:
    """Writes the checkpoint's folder in `to`. Returns it, and the tensors that were not expected and are left out, by
    file.

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
    except JobError:
        shutil.rmtree(partial)
        raise
    partial.rename(folder)
    return folder, unexpected
