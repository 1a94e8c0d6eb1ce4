"""What every place that videos are delivered to can do for one job."""

from pathlib import Path
from typing import Protocol

from videoworker.request import Result, VideoRequest


class Destination(Protocol):
    """Where one job's video goes. Made anew for each job."""

    def delivered_before(self, request: VideoRequest) -> Result | None:
        """The job's result, where this very request was delivered under this job's id already."""
        return None

    def check_size(self, num_bytes: int) -> None:
        """Raises `JobError` OUTPUT_TOO_LARGE where a file of `num_bytes` cannot be delivered."""
        return None

    def deliver(self, path: Path, result: Result) -> Result:
        """Delivers the finished file `path` and gives `result` with its URL; where this very request was delivered
        meanwhile under this job's id, that result. Raises `JobError`: DELIVERY_FAILED, or the watch's, and then leaves
        nothing that looks delivered."""
