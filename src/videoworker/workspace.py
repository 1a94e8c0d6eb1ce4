"""The folder in which a job's video is made. It is locked for as long as its process lives, so that the folders of
processes that were killed can be told from those in use, and removed."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog

_PREFIX = "videoworker-unfinished-"  # nobody else names a folder so: what begins with it is removed

_log = structlog.get_logger()


@contextmanager
def workspace() -> Iterator[Path]:
    """A new folder among the temporary files, which is gone after the block."""
    unlocked = Path(tempfile.mkdtemp(prefix=f".{_PREFIX}"))
    lock = os.open(unlocked, os.O_RDONLY)
    folder = unlocked
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        folder = unlocked.rename(unlocked.with_name(unlocked.name[1:]))  # from here on `remove_left_behind` sees it
        yield folder
    finally:
        shutil.rmtree(folder)
        os.close(lock)


def remove_left_behind() -> None:
    """Removes the folders of this user's processes that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        try:
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except (FileNotFoundError, PermissionError, NotADirectoryError):  # gone meanwhile, another user's, or a file
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder)
            _log.info("removed what a killed process left behind", folder=folder.name)
        except BlockingIOError:
            pass  # in use
        finally:
            os.close(lock)
