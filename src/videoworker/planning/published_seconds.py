"""How long a clip takes by published figures: an estimate before anything is measured here."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from videoworker.models.video_model import Figure
from videoworker.planning.plan import Plan


@dataclass(frozen=True)
class Estimate:
    """`seconds` on the device and with the program of the figure. `is_least`: the clip is larger than the one that was
    measured, so that it takes longer than this."""

    seconds: float
    is_least: bool
    figure: Figure

    def __str__(self) -> str:
        about = "at least" if self.is_least else "about"
        return f"{about} {self.seconds:.0f} on {self.figure.device} with {self.figure.program}"


def estimates(plan: Plan) -> tuple[Estimate, ...]:
    """One for each device and program that there are figures of the plan's model with: by the figure whose clip is
    nearest in size.

    Time is taken to grow with pixels, frames and predictions. Attention grows faster. So a smaller clip takes less
    than estimated, and a larger one more.
    """
    figures: dict[tuple[str, str], list[Figure]] = {}
    for figure in plan.model.figures:
        figures.setdefault((figure.device, figure.program), []).append(figure)
    return tuple(_estimate(plan, _nearest(alike, _longest(plan))) for alike in figures.values())


def _nearest(figures: Iterable[Figure], pixels: int) -> Figure:
    return min(figures, key=lambda figure: abs(math.log(figure.pixels / pixels)))


def _longest(plan: Plan) -> int:
    """Pixels of the longest segment: what the denoiser has before it at once."""
    area = max(canvas.native_pixels for canvas, _ in plan.courses)
    return area * max(segment.num_frames for segment in plan.segments)


def _estimate(plan: Plan, figure: Figure) -> Estimate:
    areas = [(canvas.native_pixels, sampling.predictions) for canvas, sampling in plan.courses]
    predicted = sum(segment.num_frames for segment in plan.segments) * sum(area * count for area, count in areas)
    work = predicted / (figure.pixels * figure.steps * figure.passes)
    return Estimate(figure.seconds * work, _longest(plan) > figure.pixels, figure)
