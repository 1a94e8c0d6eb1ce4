"""The files that workers delivered for jobs, a folder per job, and their end."""

import shutil
from pathlib import Path

import structlog

_log = structlog.get_logger()


def remove(folder: Path, job_ids: list[str]) -> None:
    """Removes what `folder` holds for these jobs. Blocks. What cannot be removed is left, and the log says so."""
    for job_id in job_ids:
        try:
            shutil.rmtree(folder / job_id)
        except FileNotFoundError:
            continue  # delivered elsewhere
        except OSError as error:
            _log.warning("files not removed", job_id=job_id, error=str(error))
