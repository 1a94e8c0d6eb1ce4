"""How a clip is denoised, as numbers: what a plan says to a family."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Sampling:
    """If a value is None, the one in the checkpoint's own files holds. `fps` is for families that take the time between
    two frames as an input; None: as in the videos that they were trained on. `low_noise_guidance_scale` takes the place
    of `guidance_scale` for a second denoiser, which makes the steps of low noise; None: both have the same."""

    steps: int
    guidance_scale: float
    embedded_guidance_scale: float | None = None
    flow_shift: float | None = None
    fps: int | None = None
    low_noise_guidance_scale: float | None = None
