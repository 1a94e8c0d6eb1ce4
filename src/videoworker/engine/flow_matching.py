"""The steps from noise to clean latents along a flow-matching schedule, for every family that was trained so."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from diffusers import FlowMatchEulerDiscreteScheduler

from videoworker.errors import Code, JobError
from videoworker.watch import Watch


def make_scheduler(config: Any, steps: int, flow_shift: float | None, device: torch.device) -> Any:
    """A scheduler for one clip alone, so that a request's `flow_shift` cannot reach the next; None: the checkpoint's.
    Noise levels fall evenly from 1, before the shift moves steps towards the noisy end."""
    changes = {} if flow_shift is None else {"shift": flow_shift}
    scheduler = FlowMatchEulerDiscreteScheduler.from_config(config, **changes)
    scheduler.set_timesteps(sigmas=np.linspace(1, 0, steps, endpoint=False), device=device)
    return scheduler


def guided(predicted: list[torch.Tensor], scale: float) -> torch.Tensor:
    """Classifier-free guidance, where there are two predictions, the negative prompt's first; else the only one
    (arXiv:2207.12598)."""
    if len(predicted) == 1:
        return predicted[0]
    negative, positive = predicted
    return negative + scale * (positive - negative)


def denoise(
    latents: torch.Tensor,
    scheduler: Any,
    predict: Callable[[torch.Tensor, torch.Tensor, int], torch.Tensor],
    watch: Watch,
    part: tuple[int, int],
) -> torch.Tensor:
    """Clean latents in float32. `predict` gives the velocity, in float32, from the latents, the timestep (a scalar
    tensor, 1000 for noise) and the step's index. Raises `JobError` where the result is not finite."""
    steps = len(scheduler.timesteps)
    scheduler.set_begin_index(0)  # else it looks for its place among the timesteps, and a GPU waits for the answer
    for index, timestep in enumerate(scheduler.timesteps):
        latents = scheduler.step(predict(latents, timestep, index), timestep, latents, return_dict=False)[0]
        watch.step("denoise", index + 1, steps, part)
    if not torch.isfinite(latents).all():
        raise JobError(Code.GENERATION_FAILED, "The model gave numbers that are not finite.")
    return latents
