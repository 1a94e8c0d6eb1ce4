"""How long a plan will take on this device, judged by what this process has made."""

from collections.abc import Mapping
from dataclasses import dataclass

from videoworker.canvas import Canvas
from videoworker.models.video_model import VideoModel
from videoworker.planning.plan import Plan

# There is no estimate beyond so many times the measured work, because a small clip's time is mostly fixed costs.
_FARTHEST = 10.0


@dataclass(frozen=True)
class _Measured:
    """The work of one finished plan, in millions of pixels denoised once and decoded, and the seconds they took."""

    denoised: float
    denoise_seconds: float
    decoded: float
    decode_seconds: float


class Pace:
    """Knows nothing until a job is done.

    Of each model the largest job so far counts, because fixed costs weigh least in it. Time is taken to grow with the
    work. Attention grows faster, so a larger job may take longer than estimated.
    """

    def __init__(self) -> None:
        self._measured: dict[VideoModel, _Measured] = {}

    def learn(self, plan: Plan, seconds: Mapping[str, float]) -> None:
        """Learns what a plan took: `seconds` by stage."""
        decoded = seconds.get("decode", 0.0) + seconds.get("encode", 0.0)
        new = _Measured(_denoised(plan), seconds.get("denoise", 0.0), _decoded(plan), decoded)
        old = self._measured.get(plan.model)
        if old is None or new.denoised >= old.denoised:
            self._measured[plan.model] = new

    def estimate(self, plan: Plan) -> float | None:
        """Seconds that the plan will take; None if nothing comparable was made."""
        known = self._measured.get(plan.model)
        if known is None or _denoised(plan) > _FARTHEST * known.denoised or _decoded(plan) > _FARTHEST * known.decoded:
            return None
        denoising = known.denoise_seconds * _denoised(plan) / known.denoised
        return denoising + known.decode_seconds * _decoded(plan) / known.decoded


def _decoded(plan: Plan) -> float:
    return _pixels(plan, plan.decoded)


def _denoised(plan: Plan) -> float:
    return sum(_pixels(plan, canvas) * sampling.predictions for canvas, sampling in plan.courses)


def _pixels(plan: Plan, canvas: Canvas) -> float:
    """Of all segments, in millions."""
    return sum(segment.num_frames for segment in plan.segments) * canvas.native_width * canvas.native_height / 1e6
