"""The folder in which a job's video is made.

Its process holds a lock on it for as long as it lives. So the folder of a killed process can be told from one in use,
and can be removed.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog

_PREFIX = "videoworker-unfinished-"  # no other program's folders begin with it: those that do are removed

_log = structlog.get_logger()


@contextmanager
def workspace() -> Iterator[Path]:
    """A new folder among the temporary files. It is removed after the block."""
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
    """Removes the folders that killed processes of this user have left behind."""
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
