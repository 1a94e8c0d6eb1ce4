"""How long a clip takes by published figures: an estimate before anything is measured here."""

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
    """One for each figure of the plan's model.

    Time is taken to grow with pixels, frames and predictions. Attention grows faster. So a smaller clip takes less
    than estimated, and a larger one more.
    """
    return tuple(_estimate(plan, figure) for figure in plan.model.figures)


def _estimate(plan: Plan, figure: Figure) -> Estimate:
    areas = [(canvas.native_width * canvas.native_height, sampling.predictions) for canvas, sampling in plan.courses]
    predicted = sum(segment.num_frames for segment in plan.segments) * sum(area * count for area, count in areas)
    measured = figure.width * figure.height * figure.num_frames
    longest = max(area for area, _ in areas) * max(segment.num_frames for segment in plan.segments)
    return Estimate(figure.seconds * predicted / (measured * figure.steps * figure.passes), longest > measured, figure)
