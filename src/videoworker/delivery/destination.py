"""What every destination of videos can do for one job."""

from pathlib import Path
from typing import Protocol

from videoworker.request import Result, VideoRequest


class Destination(Protocol):
    """Where one job's video goes. Each job has its own."""

    def delivered_before(self, request: VideoRequest) -> Result | None:
        """The job's result if this request has been delivered under this job's id before, else None."""
        return None

    def check_size(self, num_bytes: int) -> None:
        """Raises `JobError` OUTPUT_TOO_LARGE if a file of `num_bytes` cannot be delivered."""
        return None

    def deliver(self, path: Path, result: Result) -> Result:
        """Delivers the finished file `path`, and the manifest beside it if there is one. Returns `result` with their
        URLs.

        If this request has been delivered under this job's id meanwhile, it returns that result. Raises `JobError`:
        DELIVERY_FAILED, or the watch's. Then nothing is left that looks delivered.
        """
