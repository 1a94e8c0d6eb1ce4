"""The one denoising loop, for every family."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch

from videoworker.canvas import Frames
from videoworker.errors import Code, JobError
from videoworker.models.sampling import Sampling
from videoworker.models.video_model import Rgb
from videoworker.sampling.guidance import Guidance
from videoworker.sampling.preview import preview
from videoworker.sampling.schedule import Schedule, Step
from videoworker.watch import Watch

Prompt = TypeVar("Prompt")

_STEPS_KEPT = 2  # a solver of second order needs so many


@dataclass(frozen=True)
class Inputs(Generic[Prompt]):
    """What a segment is made from.

    `noise` is [1, T, C, h, w] in float32. `prompts` has the encoded prompt. Under guidance the negative one comes
    before it. `known` [1, t, C, h, w] are the latents of the first frames, if the segment continues from some.
    `known_frames` are these frames themselves, for families that encode the whole segment with them. `generator` is the
    one that drew the noise. Some schedulers draw more from it.
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

    `latents` are those to begin with, in the family's own layout and in float32. `predict(latents, index, prompts)`
    gives the denoiser's prediction at step `index` for each of `prompts`, in float32. `finish` makes the segment's
    latents [1, T, C, h, w] from the last ones.
    """

    latents: torch.Tensor
    schedule: Schedule
    prompts: tuple[Prompt, ...]
    guidance: Guidance
    predict: Callable[[torch.Tensor, int, Sequence[Prompt]], list[torch.Tensor]]
    finish: Callable[[torch.Tensor], torch.Tensor] = unchanged


@torch.inference_mode()
def denoise(start: Start[Prompt], watch: Watch, rgb: Rgb = ()) -> torch.Tensor:
    """The latents [1, T, C, h, w] of a segment, or [1, C, L] of a sound, finite and in float32. `rgb` shows them in
    previews, if the watch wants some. Raises `JobError`: the watch's, which is checked after every step, or
    GENERATION_FAILED if the numbers are not finite."""
    latents, done = start.latents, list[Step]()
    steps = len(start.schedule.timesteps)
    for index in range(steps):
        predictions = start.predict(latents, index, start.guidance.prompts(index, start.prompts))
        step = start.schedule.step(index, start.guidance.combine(index, predictions), latents, done)
        latents, done = step.after, [*done, step][-_STEPS_KEPT:]
        if rgb and watch.is_preview_due:
            watch.show(preview(start.finish(step.clean), rgb))
        watch.step("denoise", index + 1, steps)
    if not torch.isfinite(latents).all():
        raise JobError(Code.GENERATION_FAILED, "The model gave numbers that are not finite.")
    return start.finish(latents)
