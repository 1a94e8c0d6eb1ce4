"""How a clip is denoised, as numbers: what a plan says to a family."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Sampling:
    """What is None is as the checkpoint's own files say. `fps` is for families that are told how much time lies between
    two frames; None: as in the videos that they were trained on. `low_noise_guidance_scale` takes the place of
    `guidance_scale` for a second denoiser, the one that makes the steps of low noise; None: it is the same."""

    steps: int
    guidance_scale: float
    embedded_guidance_scale: float | None = None
    flow_shift: float | None = None
    fps: int | None = None
    low_noise_guidance_scale: float | None = None
