"""What a video will take, said before it is asked for: seconds, memory, and how it will differ from the request."""

from dataclasses import dataclass

from videoworker.gateway.service import Service
from videoworker.planning.machine import Machine
from videoworker.planning.memory import GIB
from videoworker.planning.placement import LADDER, Placement, activations, declared_bytes, needed
from videoworker.planning.plan import Plan, make_plan
from videoworker.planning.published_seconds import estimates
from videoworker.request import VideoRequest

# The gateway does not see what the workers have. It takes them to have each model's first variant, and a GPU.
_WORKER = Machine(is_installed=lambda _: True, may_fetch=True, has_gpu=True)


@dataclass(frozen=True)
class Estimate:
    """`seconds`: by what the last jobs took, else by what others have published; None if neither is known, and `source`
    says which. `gib`: device memory with all weights on the device; `least_gib`: with the leanest placement; both are
    None if it is not known which model will make the video. `notes`: how the video will differ from the request."""

    seconds: float | None
    source: str
    model: str | None = None
    gib: float | None = None
    least_gib: float | None = None
    notes: tuple[str, ...] = ()


async def estimate(service: Service, request: VideoRequest) -> Estimate:
    """Raises `JobError` if the model cannot do what is asked."""
    seconds = await service.estimate(request)
    model = service.served_model or request.model
    plan = make_plan(request, _WORKER, model) if model is not None else None
    published = estimates(plan) if plan is not None else ()
    source = "as the last videos took"
    if seconds is None and published:
        seconds, source = published[0].seconds, f"on an {published[0].figure.gpu}"
    if plan is None:
        return Estimate(seconds, source)
    return Estimate(
        seconds=seconds,
        source=source,
        model=plan.model.checkpoint.title,
        gib=_gib(plan, Placement.RESIDENT),
        least_gib=_gib(plan, LADDER[-1]),
        notes=plan.notes,
    )


def _gib(plan: Plan, placement: Placement) -> float:
    return round(needed(declared_bytes(plan.model.checkpoint), activations(plan), placement) / GIB, 1)
