"""The one thing that changes while a job runs: progress, notes and timings out, cancel and time limit in.

Ownership: the worker makes one `Watch` per job. Only the event loop sets its `cancel` event. Everything else of it is
used on the thread that runs the job, and `report` is called on that thread.
"""

import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, field

from videoworker.errors import Code, JobError
from videoworker.request import Progress, Stage

# What each stage takes of a job of which nothing is known, without sound, in their order.
_SHARES: dict[Stage, float] = {
    "load": 0.02,
    "encode_prompt": 0.02,
    "denoise": 0.76,
    "decode": 0.17,
    "sound": 0.0,
    "encode": 0.01,
    "deliver": 0.02,
}

_FIRST_SHARE = 0.05  # of the way: before, it tells nothing of the rest
_PREVIEW_SECONDS = 1.0  # from one preview to the next: reports are posted about as often

# These two alternate, segment by segment.
_OF_A_SEGMENT: tuple[Stage, ...] = ("denoise", "decode")

# If nothing is known of a sound, it takes this share of what these two would take without it.
_SOUND_SHARE = 0.3

# An estimate may be wrong by so much. What would be done in time then is tried.
_DOUBT = 0.2


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
    shares: dict[Stage, float] = field(default_factory=_SHARES.copy)
    expected: float | None = None
    began: float = 0.0
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

    def expect(self, expected: Mapping[Stage, float] | None) -> None:
        """What is known of the seconds that each stage will still take; None: nothing. Raises `JobError` if a job that
        takes so long would not be done in time."""
        if expected is None or not (seconds := sum(expected.values())):
            return
        state, elapsed = self._state, self.elapsed
        if elapsed + seconds * (1 - _DOUBT) > state.time_limit:
            raise JobError(
                Code.GENERATION_TIMEOUT,
                f"The video would take about {elapsed + seconds:.0f} seconds ({(elapsed + seconds) / 60:.0f} minutes); "
                f"the time limit is {state.time_limit:g} seconds. Ask for fewer frames, fewer steps or a smaller size, "
                "or raise the limit: the job's policy.executionTimeout, or the worker's JOB_TIMEOUT_SECONDS.",
            )
        state.expected, state.began = seconds, elapsed
        state.shares = {stage: expected.get(stage, 0.0) for stage in _SHARES}
        # Pictures are encoded as they are decoded.
        state.shares["decode"] += state.shares["encode"]
        state.shares["encode"] = 0.0

    def expect_sound(self) -> None:
        """The picture's steps leave room for those of a sound."""
        shares = self._state.shares
        if not shares["sound"]:
            shares["sound"] = _SOUND_SHARE * sum(shares[stage] for stage in _OF_A_SEGMENT)
            shares.update({stage: (1 - _SOUND_SHARE) * shares[stage] for stage in _OF_A_SEGMENT})

    def expect_sound_alone(self) -> None:
        """There are no steps of a picture."""
        self._state.shares |= {"denoise": 0.0, "decode": 0.0, "sound": 1.0}

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
        remaining = self._remaining(elapsed)
        state.report(Progress(state.job_id, stage, step, steps, state.fraction, elapsed, remaining, state.preview))
        self.check()

    def _remaining(self, elapsed: float) -> float | None:
        """Seconds, by the way so far once there is some, before that by what was expected. What was done before there
        were expectations, such as fetching weights, is no part of the way."""
        fraction, expected, so_far = self._state.fraction, self._state.expected, elapsed - self._state.began
        if fraction > _FIRST_SHARE:
            return so_far * (1 - fraction) / fraction
        return None if expected is None else max(expected - so_far, 0.0)

    def _span(self, stage: Stage) -> tuple[float, float]:
        """Where the stage, of this segment, begins and ends on the way from 0 to 1."""
        shares, names = self._state.shares, list(_SHARES)
        whole = sum(shares.values())
        start = sum(shares[name] for name in names[: names.index(stage)]) / whole
        share = shares[stage] / whole
        if stage not in _OF_A_SEGMENT:
            return start, start + share
        index, count = self._segment
        first = sum(shares[name] for name in names[: names.index(_OF_A_SEGMENT[0])]) / whole
        of_all = sum(shares[name] for name in _OF_A_SEGMENT) / whole
        start = first + (index * of_all + start - first) / count
        return start, start + share / count
