"""How long denoising takes by published figures: an estimate before anything is measured here."""

from videoworker.planning.plan import Plan

GPU = "H100"


def denoise_seconds(plan: Plan) -> float | None:
    """Seconds on one `GPU`; None if nobody has published them.

    Time is taken to grow with pixels, frames, steps and passes. Attention grows faster, so a clip smaller than the
    model's default takes less than estimated.
    """
    model = plan.model
    if not model.published_step_seconds:
        return None
    default = model.default_width * model.default_height * model.default_frames * _passes(model.default_guidance_scale)
    pixels = plan.canvas.native_width * plan.canvas.native_height * sum(segment.num_frames for segment in plan.segments)
    work = pixels * _passes(plan.sampling.guidance_scale) / default
    return model.published_step_seconds * plan.sampling.steps * work


def _passes(guidance_scale: float) -> int:
    """With guidance every step is computed with and without the prompt."""
    return 2 if guidance_scale > 1 else 1
