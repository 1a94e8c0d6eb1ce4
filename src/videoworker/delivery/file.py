"""Delivery as a file in a folder of this machine, which the endpoint on one machine serves as `/files`."""

import os
import shutil
import uuid
from pathlib import Path

import structlog

from videoworker.delivery.destination import Destination
from videoworker.errors import Code, JobError
from videoworker.origin import manifest_beside
from videoworker.request import Result

_log = structlog.get_logger()


class File(Destination):
    """Delivers to `<folder>/<job_id>/video.<container>`, and a manifest to `video.c2pa` beside it. `public_base_url`
    serves the folder as `/files`; None: nobody serves it, and the video has a `file://` URL."""

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
        manifest_url = self._url(manifest_beside(file)) if manifest_beside(path).exists() else None
        return result.at(self._url(file), manifest_url)

    def _url(self, file: Path) -> str:
        if self._public_base_url is not None:
            return f"{self._public_base_url}/files/{file.parent.name}/{file.name}"
        return file.as_uri()


def place(path: Path, folder: Path, job_id: str) -> Path:
    """Copies `path` to `<folder>/<job_id>/video<its suffix>` and returns the absolute path of the copy. The manifest
    beside it, if there is one, comes first.

    `job_id` is a plain file name. A reader sees the whole new file, or what was there before, even if the machine dies
    meanwhile. An older copy is replaced. Raises `OSError` if the file cannot be written.
    """
    home = folder.resolve() / job_id
    home.mkdir(parents=True, exist_ok=True)
    target, manifest = home / f"video{path.suffix}", manifest_beside(path)
    if manifest.exists():
        _copy(manifest, manifest_beside(target))
    _copy(path, target)
    return target


def _copy(path: Path, target: Path) -> None:
    partial = target.with_name(f".{uuid.uuid4().hex}")
    try:
        with path.open("rb") as source, partial.open("wb") as copy:
            shutil.copyfileobj(source, copy)
            copy.flush()
            os.fsync(copy.fileno())
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
