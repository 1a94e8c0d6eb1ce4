"""Delivery onto a network volume: files like any other, once it is sure that the volume is there."""

import tempfile
from pathlib import Path

from videoworker.errors import Code, JobError


def prove(folder: Path) -> None:
    """Raises `JobError` where no file can be put into `folder`. Only its last part is made where it is absent: without
    the volume there would be a folder of that name on the worker's own disk, and gone with it."""
    try:
        folder.mkdir(exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise JobError(
            Code.DELIVERY_FAILED,
            f"VOLUME_DIR: nothing can be written into {folder}: {error.strerror}. Is a network volume attached?",
        ) from error
