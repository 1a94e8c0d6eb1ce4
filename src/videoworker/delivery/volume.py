"""Delivery onto the network volume: a folder on it, and the proof that the volume is there."""

import os
import tempfile
from pathlib import Path

from videoworker.errors import Code, JobError
from videoworker.settings import Settings


def folder(settings: Settings) -> Path:
    """The folder of videos on the network volume."""
    return settings.network_volume / "videos"


def prove(settings: Settings) -> None:
    """Raises `JobError` if no file can be written there.

    The volume's own folder is not made. Without a volume it would be made on the worker's disk, and be lost with it.
    """
    try:
        folder(settings).mkdir(exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder(settings)):
            pass
    except PermissionError as error:
        raise JobError(
            Code.DELIVERY_FAILED,
            f"DELIVERY=volume, but user {os.geteuid()} may not write into {folder(settings)}. From a Pod with the same "
            f"volume: mkdir -p videos weights && chown {os.geteuid()} videos weights",
        ) from error
    except OSError as error:
        raise JobError(
            Code.DELIVERY_FAILED,
            f"DELIVERY=volume, but nothing can be written into {folder(settings)}: {error.strerror}. "
            "Is a network volume attached?",
        ) from error
