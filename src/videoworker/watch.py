"""The one thing that changes while a job runs: progress, notes and timings out, cancel and time limit in.

Ownership: the worker makes one `Watch` per job. Only the event loop sets its `cancel` event. Everything else of it is
used on the thread that runs the job, and `report` is called on that thread.
"""

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, field

from videoworker.errors import Code, JobError
from videoworker.request import Progress, Stage

# Where each stage begins and ends on the way from 0 to 1, without sound. Decoding, encoding and delivery run as one
# stream.
_SPANS: dict[Stage, tuple[float, float]] = {
    "load": (0.0, 0.02),
    "encode_prompt": (0.02, 0.04),
    "denoise": (0.04, 0.8),
    "decode": (0.8, 0.97),
    "encode": (0.97, 0.98),
    "deliver": (0.98, 1.0),
}

_PREVIEW_SECONDS = 1.0  # from one preview to the next: reports are posted about as often

# These two alternate, segment by segment.
_OF_A_SEGMENT: tuple[Stage, ...] = ("denoise", "decode")

# Of what these two take without sound, this share remains for them with sound.
_PICTURE_SHARE = 0.7


@dataclass
class _State:
    """What a watch and those of its segments share."""

    job_id: str
    report: Callable[[Progress], None]
    time_limit: float
    clock: Callable[[], float]
    started: float
    cancel: threading.Event = field(default_factory=threading.Event)
    fraction: float = 0.0
    expected: float | None = None
    picture_share: float = 1.0
    has_previews: bool = False
    preview: str | None = None
    previewed: float = -math.inf
    notes: list[str] = field(default_factory=list)
    timings: dict[str, float] = field(default_factory=dict)


class Watch:
    """The state of one job, on its way."""

    def __init__(
        self,
        job_id: str,
        report: Callable[[Progress], None],
        time_limit: float,
        clock: Callable[[], float] = time.monotonic,
        has_previews: bool = False,
    ) -> None:
        """`report` hears every step; `time_limit` is seconds from now, by `clock`. `has_previews`: whether somebody
        wants to see the picture emerge."""
        self._state = _State(job_id, report, time_limit, clock, started=clock(), has_previews=has_previews)
        self._segment = (0, 1)
        self._course = (0, 0)
        self._is_of_sound = False

    @property
    def job_id(self) -> str:
        return self._state.job_id

    @property
    def cancel(self) -> threading.Event:
        """If it is set, the job ends at its next check."""
        return self._state.cancel

    @property
    def elapsed(self) -> float:
        """Seconds since the job began."""
        return self._state.clock() - self._state.started

    @property
    def notes(self) -> tuple[str, ...]:
        """What differs from the request, in words, as it came to light on the way."""
        return tuple(self._state.notes)

    @property
    def timings(self) -> dict[str, float]:
        """Seconds by stage, so far."""
        return dict(self._state.timings)

    def segment(self, index: int, count: int) -> "Watch":
        """This watch, for segment `index` of `count` of a longer clip: its steps are a share of the whole."""
        watch = copy(self)
        watch._segment = (index, count)
        return watch

    def course(self, before: int, after: int) -> "Watch":
        """This watch, for a course of denoising that has so many other steps before and after it."""
        watch = copy(self)
        watch._course = (before, after)
        return watch

    @property
    def is_preview_due(self) -> bool:
        """Whether it is worth the wait for the device to `show` one now."""
        state = self._state
        return state.has_previews and self.elapsed - state.previewed >= _PREVIEW_SECONDS

    def show(self, preview: str | None) -> None:
        """From the next report on, the preview is this one, a data URI of a few kilobytes, or none."""
        self._state.preview, self._state.previewed = preview, self.elapsed

    def expect_sound(self) -> None:
        """The picture's steps leave room for those of a sound."""
        self._state.picture_share = _PICTURE_SHARE

    def expect_sound_alone(self) -> None:
        """There are no steps of a picture."""
        self._state.picture_share = 0.0

    def sound(self) -> "Watch":
        """This watch, for the sound: what it reports is of the stage "sound"."""
        watch = copy(self)
        watch._is_of_sound = True
        return watch

    def check(self) -> None:
        """Raises `JobError` if the job was cancelled or its time is over. Cheap: call it at every step."""
        state = self._state
        if state.cancel.is_set():
            raise JobError(Code.CANCELLED, "The job was cancelled.")
        if self.elapsed > state.time_limit:
            raise JobError(
                Code.GENERATION_TIMEOUT, f"Video generation exceeded time limit ({state.time_limit:g} seconds)"
            )

    def expect(self, seconds: float) -> None:
        """The job will take so much longer, which is what reports say until there are steps to go by. Raises `JobError`
        if it would not be done in time."""
        limit = self._state.time_limit
        self._state.expected = self.elapsed + seconds
        if self.elapsed + seconds > limit:
            raise JobError(
                Code.GENERATION_TIMEOUT,
                f"The video would take about {self.elapsed + seconds:.0f} seconds "
                f"({(self.elapsed + seconds) / 60:.0f} minutes); the time limit is {limit:g} "
                "seconds. Ask for fewer frames, fewer steps or a smaller size, or raise the limit: the job's "
                "policy.executionTimeout, or the worker's JOB_TIMEOUT_SECONDS.",
            )

    def note(self, text: str) -> None:
        """Adds a note, once: what is done again says nothing new."""
        if text not in self._state.notes:
            self._state.notes.append(text)

    @contextmanager
    def stage(self, name: Stage) -> Iterator[None]:
        """Adds the seconds that the block takes to the timing of `name`."""
        started = self.elapsed
        try:
            yield
        finally:
            timings = self._state.timings
            timings[name] = timings.get(name, 0.0) + self.elapsed - started

    def step(self, stage: Stage, step: int, steps: int) -> None:
        """Reports that `step` of `steps` of `stage` is done, then checks. The fraction reported never decreases."""
        stage = "sound" if self._is_of_sound else stage
        if stage == "denoise":
            before, after = self._course
            step, steps = before + step, before + steps + after
        state, (start, end) = self._state, self._span(stage)
        state.fraction = max(state.fraction, start + (end - start) * step / max(steps, 1))
        elapsed = self.elapsed
        remaining = None if state.expected is None else max(state.expected - elapsed, 0.0)
        if state.fraction > 0.05:
            remaining = elapsed * (1 - state.fraction) / state.fraction
        state.report(Progress(state.job_id, stage, step, steps, state.fraction, elapsed, remaining, state.preview))
        self.check()

    def _span(self, stage: Stage) -> tuple[float, float]:
        begin, over = _SPANS[_OF_A_SEGMENT[0]][0], _SPANS[_OF_A_SEGMENT[1]][1]
        share = self._state.picture_share
        if stage == "sound":
            return begin + (over - begin) * share, over
        start, end = _SPANS[stage]
        if stage not in _OF_A_SEGMENT:
            return start, end
        index, count = self._segment
        offset = begin + index * (over - begin) * share / count
        return offset + (start - begin) * share / count, offset + (end - begin) * share / count
