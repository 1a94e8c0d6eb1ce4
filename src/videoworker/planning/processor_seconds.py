"""How long a clip takes without a GPU: the operations that it needs, over those that the processor does in a second."""

from videoworker.planning.plan import Plan, Segment
from videoworker.request import Stage

# Of a large layer's speed, a whole clip has so much: attention is slower. In bench/results/cpu.md it is 0.50 to 0.59.
_SHARE = 0.55


def processor_seconds(plan: Plan, layer_flops: float) -> dict[Stage, float] | None:
    """By stage, without what is little beside these: reading weights and the prompt. None if nobody has counted what
    the model computes. `layer_flops` are floating-point operations in a second of one large layer."""
    counted = operations(plan)
    return counted and {stage: count / (_SHARE * layer_flops) for stage, count in counted.items()}


def operations(plan: Plan) -> dict[Stage, float] | None:
    """Floating-point operations by stage; None as above. Those of super-resolution nobody has counted."""
    flops = plan.model.flops
    if flops is None or plan.super_resolution is not None:
        return None
    tokens = [tokens_of(plan, segment) for segment in plan.segments]
    predicted = sum(flops.token * count + flops.pair * count**2 for count in tokens) * plan.sampling.predictions
    frames = sum(segment.num_frames for segment in plan.segments)
    decoded = flops.pixel * plan.canvas.native_pixels * frames
    return {"denoise": predicted, "decode": decoded}


def tokens_of(plan: Plan, segment: Segment) -> float:
    """What a prediction for the segment computes with."""
    return plan.canvas.native_pixels / plan.model.grid**2 * plan.model.latent_frames(segment.num_frames)
