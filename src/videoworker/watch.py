"""The small object that travels with a job: it hears of progress and says when to stop.

Ownership: the worker makes one `Watch` per job and is the only one to set its `cancel` event, from the event loop; the
thread that runs the job calls `step()` and `check()` and never sets anything else. `report` is called on that thread.
"""

import threading
import time
from collections.abc import Callable

from videoworker.errors import Code, JobError
from videoworker.request import Progress, Stage

# Where each stage begins and ends on the way from 0 to 1. Decoding, encoding and delivery run as one stream.
_SPANS: dict[Stage, tuple[float, float]] = {
    "load": (0.0, 0.02),
    "encode_prompt": (0.02, 0.04),
    "denoise": (0.04, 0.8),
    "decode": (0.8, 0.97),
    "encode": (0.97, 0.98),
    "deliver": (0.98, 1.0),
}


class Watch:
    """Progress out, cancellation and the time limit in."""

    def __init__(self, job_id: str, report: Callable[[Progress], None], time_limit: float) -> None:
        """`report` hears every step; `time_limit` is seconds from now."""
        self.job_id, self.cancel = job_id, threading.Event()
        self._report, self._time_limit = report, time_limit
        self._started = time.monotonic()
        self._fraction = 0.0

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self._started

    def check(self) -> None:
        """Raises `JobError` where the job was cancelled or its time is over. Cheap: call it at every step."""
        if self.cancel.is_set():
            raise JobError(Code.CANCELLED, "The job was cancelled.")
        if self.elapsed > self._time_limit:
            raise JobError(
                Code.GENERATION_TIMEOUT, f"Video generation exceeded time limit ({self._time_limit:g} seconds)"
            )

    def expect(self, seconds: float) -> None:
        """Raises `JobError` where a job that takes so much longer would not be done in time."""
        if self.elapsed + seconds > self._time_limit:
            raise JobError(
                Code.GENERATION_TIMEOUT,
                f"The video would take about {self.elapsed + seconds:.0f} seconds; the time limit is "
                f"{self._time_limit:g} seconds. Ask for fewer frames, fewer steps or a smaller size.",
            )

    def step(self, stage: Stage, step: int, steps: int, part: tuple[int, int] = (0, 1)) -> None:
        """Says that `step` of `steps` of `stage` is done, in part `part[0]` of `part[1]` of a longer clip; then checks.

        The fraction reported never decreases.
        """
        start, end = _SPANS[stage]
        if stage in ("denoise", "decode"):  # these alternate, part by part
            begin, finish = _SPANS["denoise"][0], _SPANS["decode"][1]
            width = (finish - begin) / part[1]
            within = (start - begin) / (finish - begin), (end - begin) / (finish - begin)
            start, end = (begin + width * (part[0] + edge) for edge in within)
        self._fraction = max(self._fraction, start + (end - start) * step / max(steps, 1))
        elapsed = self.elapsed
        remaining = elapsed * (1 - self._fraction) / self._fraction if self._fraction > 0.05 else None
        self._report(Progress(self.job_id, stage, step, steps, self._fraction, elapsed, remaining))
        self.check()
