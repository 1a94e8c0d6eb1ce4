"""Delivery onto the network volume: files like any other, once it is sure that the volume is there."""

import tempfile
from pathlib import Path

from videoworker.errors import Code, JobError
from videoworker.settings import Settings


def folder(settings: Settings) -> Path:
    """Where videos lie on the network volume."""
    return settings.network_volume / "videos"


def prove(settings: Settings) -> None:
    """Raises `JobError` where no file can be put there. The volume's own folder is not made: without the volume it
    would be one on the worker's disk, and gone with it."""
    try:
        folder(settings).mkdir(exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder(settings)):
            pass
    except OSError as error:
        raise JobError(
            Code.DELIVERY_FAILED,
            f"DELIVERY=volume, but nothing can be written into {folder(settings)}: {error.strerror}. "
            "Is a network volume attached?",
        ) from error
