"""Delivery as a file in a folder of this machine, which the endpoint on one machine serves as `/files`."""

import os
import shutil
import uuid
from pathlib import Path

import structlog

from videoworker.delivery.destination import Destination
from videoworker.errors import Code, JobError
from videoworker.request import Result

_log = structlog.get_logger()


class File(Destination):
    """`<folder>/<job_id>/video.<container>`, given by its URL under `public_base_url`, where that serves the folder as
    `/files`, else as `file://`."""

    def __init__(self, folder: Path, public_base_url: str | None = None) -> None:
        self._folder, self._public_base_url = folder, public_base_url

    def deliver(self, path: Path, result: Result) -> Result:
        try:
            file = place(path, self._folder, result.job_id)
        except OSError as error:
            _log.error("file not written", error=str(error))
            raise JobError(
                Code.DELIVERY_FAILED, f"The video was made but could not be written: {error.strerror}."
            ) from error
        if self._public_base_url is not None:
            return result.at(f"{self._public_base_url}/files/{result.job_id}/{file.name}")
        return result.at(file.as_uri())


def place(path: Path, folder: Path, job_id: str) -> Path:
    """Copies `path` to `<folder>/<job_id>/video<its suffix>` and gives that file's absolute path.

    `job_id` is a plain file name. Whoever looks sees the whole new file or what was there before, also where the
    machine dies meanwhile; doing it again replaces. Raises `OSError` where the file cannot be written.
    """
    home = folder.resolve() / job_id
    home.mkdir(parents=True, exist_ok=True)
    target, partial = home / f"video{path.suffix}", home / f".{uuid.uuid4().hex}"
    try:
        with path.open("rb") as source, partial.open("wb") as copy:
            shutil.copyfileobj(source, copy)
            copy.flush()
            os.fsync(copy.fileno())
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    return target
