"""How a clip is denoised, as numbers: what a plan says to a family."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Sampling:
    """What is None is as the checkpoint's own files say. `fps` is for families that are told how much time lies between
    two frames; None: as in the videos that they were trained on."""

    steps: int
    guidance_scale: float
    embedded_guidance_scale: float | None = None
    flow_shift: float | None = None
    fps: int | None = None
