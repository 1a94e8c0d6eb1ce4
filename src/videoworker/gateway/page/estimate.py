"""What a video will take, said before it is asked for: seconds, memory, and how it will differ from the request."""

from dataclasses import dataclass, replace

from videoworker.gateway.estimates import plan_of
from videoworker.gateway.service import Service
from videoworker.planning.memory import GIB, RESERVE
from videoworker.planning.placement import LADDER, Placement, activations, declared_bytes, needed
from videoworker.planning.plan import Plan
from videoworker.planning.published_seconds import estimates
from videoworker.request import VideoRequest

# A worker may have the weights for super-resolution or not. The page says both.
_SCALED = "Scaled up by super-resolution if the worker has its weights, else with a Lanczos filter."


@dataclass(frozen=True)
class Estimate:
    """`seconds`: by what the last jobs took, else by what is published; None if neither is known. `source` says which.
    `is_least`: it takes longer than that. `gib`: memory with all weights on the device; `least_gib`: with the leanest
    placement; both are None if it is not known which model will make the video. `notes`: how the video will differ from
    the request."""

    seconds: float | None
    source: str
    is_least: bool = False
    model: str | None = None
    gib: float | None = None
    least_gib: float | None = None
    needs_gpu: bool = True
    notes: tuple[str, ...] = ()


async def estimate(service: Service, request: VideoRequest) -> Estimate:
    """Raises `JobError` if the model cannot do what is asked."""
    seconds, source, is_least = await service.estimate(request), "as the last videos took", False
    model = service.served_model or request.model
    if model is None:
        return Estimate(seconds, source)
    plan = plan_of(request, model)
    if (larger := plan.super_resolution) is not None:
        notes = tuple(_SCALED if note == larger.note else note for note in plan.notes)
        plan = replace(plan, super_resolution=None, notes=notes)
    if seconds is None and (published := estimates(plan)):
        first = published[0]
        seconds, source, is_least = first.seconds, f"on {first.figure.device}", first.is_least
    return Estimate(
        seconds=seconds,
        source=source,
        is_least=is_least,
        model=plan.model.checkpoint.title,
        gib=_gib(plan, Placement.RESIDENT),
        least_gib=_gib(plan, LADDER[-1] if plan.model.needs_gpu else Placement.RESIDENT),
        needs_gpu=plan.model.needs_gpu,
        notes=plan.notes,
    )


def _gib(plan: Plan, placement: Placement) -> float:
    size = needed(declared_bytes(plan.model.checkpoint), activations(plan), placement)
    return round((size if plan.model.needs_gpu else size - RESERVE) / GIB, 1)
