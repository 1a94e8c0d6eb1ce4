"""What the two ways of a job share, that which makes a clip and that which adds sound to one: what they have at hand,
and what they leave in the job's folder."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from videoworker.engine.engine import Engine
from videoworker.media.file import Content, Finished
from videoworker.models.sampling import Sampling
from videoworker.origin import Origin
from videoworker.planning.work import Work
from videoworker.request import Mark, Video, VideoRequest
from videoworker.settings import Settings
from videoworker.watch import Watch


@dataclass(frozen=True)
class Task:
    """A job at work. `folder` is its own. `check_size` raises `JobError` OUTPUT_TOO_LARGE if a file of so many bytes
    cannot be delivered."""

    request: VideoRequest
    engine: Engine
    settings: Settings
    watch: Watch
    folder: Path
    check_size: Callable[[int], None]


@dataclass(frozen=True)
class Draft:
    """A file that is whole but not marked, at `path`, and what made it: the model that the answer names, its sampling
    and its seed. `notes` says what differs from the request, as far as the plan knew. `work` is what the job computes,
    for estimates of others."""

    path: Path
    content: Content
    origin: Origin
    model: str
    sampling: Sampling
    seed: int
    notes: tuple[str, ...]
    work: Work

    def report(self, finished: Finished, marked: list[Mark], notes: Sequence[str]) -> Video:
        """What answers say of the file, which is marked now. `notes` are those that came on the way."""
        content = self.content
        return Video(
            url="",
            container=content.container,
            codec=content.codec,
            width=content.width,
            height=content.height,
            num_frames=content.num_frames,
            fps=int(content.fps) if content.fps.denominator == 1 else round(float(content.fps), 3),
            duration=content.duration,
            file_size=finished.file_size,
            sha256=finished.sha256,
            seed=self.seed,
            model=self.model,
            model_revision=self.origin.model_revision,
            steps=self.sampling.steps,
            guidance_scale=self.sampling.guidance_scale,
            has_audio=content.has_audio,
            effort=self.sampling.effort,
            notes=[*self.notes, *notes],
            marks=marked,
        )
