"""Delivery as a file under OUTPUT_DIR, which the endpoint on one machine serves as `/files`."""

import shutil
import uuid
from pathlib import Path

from videoworker.settings import Settings


def deliver(path: Path, job_id: str, settings: Settings) -> str:
    """Copies the finished file `path` to `OUTPUT_DIR/<job_id>/video<its suffix>` and returns its URL: under
    PUBLIC_BASE_URL where that is set, else `file://`.

    `job_id` is a plain file name. Whoever looks sees the whole new file or what was there before; delivering again
    replaces. Raises `OSError` where the file cannot be written.
    """
    folder = settings.output_dir.resolve() / job_id
    folder.mkdir(parents=True, exist_ok=True)
    target, partial = folder / f"video{path.suffix}", folder / f".{uuid.uuid4().hex}"
    try:
        shutil.copyfile(path, partial)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    if settings.public_base_url is not None:
        return f"{settings.public_base_url}/files/{job_id}/{target.name}"
    return target.as_uri()
