"""The denoising loop, the one for every family."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch

from videoworker.canvas import Frames
from videoworker.errors import Code, JobError
from videoworker.models.sampling import Sampling
from videoworker.sampling.guidance import Guidance
from videoworker.sampling.schedule import Schedule, Step
from videoworker.watch import Watch

Prompt = TypeVar("Prompt")

_STEPS_KEPT = 2  # as many as a solver of second order looks back


@dataclass(frozen=True)
class Inputs(Generic[Prompt]):
    """What a segment is made from.

    `noise` [1, T, C, h, w] in float32. `prompts`: the encoded prompt, under guidance the negative one before it.
    `known` [1, t, C, h, w]: the latents of its first frames if it continues from some, and `known_frames` these frames
    themselves, for families that encode the whole segment with them. `generator`, the one that drew the noise, gives
    what a scheduler adds on its way.
    """

    noise: torch.Tensor
    prompts: tuple[Prompt, ...]
    known: torch.Tensor | None
    sampling: Sampling
    generator: torch.Generator
    known_frames: Frames | None = None


def unchanged(latents: torch.Tensor) -> torch.Tensor:
    """The `finish` of families whose loop ends with the segment's latents."""
    return latents


@dataclass(frozen=True)
class Start(Generic[Prompt]):
    """What the loop needs of a family.

    `latents` are where it begins, in the family's own layout and in float32. `predict(latents, index, prompts)` gives
    for each of `prompts` what the denoiser predicts at step `index`, in float32. `finish` makes the segment's latents
    [1, T, C, h, w] of the last ones.
    """

    latents: torch.Tensor
    schedule: Schedule
    prompts: tuple[Prompt, ...]
    guidance: Guidance
    predict: Callable[[torch.Tensor, int, Sequence[Prompt]], list[torch.Tensor]]
    finish: Callable[[torch.Tensor], torch.Tensor] = unchanged


@torch.inference_mode()
def denoise(start: Start[Prompt], watch: Watch) -> torch.Tensor:
    """The latents [1, T, C, h, w] of a segment, finite and in float32. Raises `JobError`: the watch's, which is heard
    after every step, or GENERATION_FAILED if the numbers are not finite."""
    latents, done = start.latents, list[Step]()
    steps = len(start.schedule.timesteps)
    for index in range(steps):
        predictions = start.predict(latents, index, start.guidance.prompts(index, start.prompts))
        step = start.schedule.step(index, start.guidance.combine(index, predictions), latents, done)
        latents, done = step.after, [*done, step][-_STEPS_KEPT:]
        watch.step("denoise", index + 1, steps)
    if not torch.isfinite(latents).all():
        raise JobError(Code.GENERATION_FAILED, "The model gave numbers that are not finite.")
    return start.finish(latents)
