"""CogVideoX's schedule, by the samplers that its checkpoints name: DDIM, and DPM of second order."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import torch
from diffusers import CogVideoXDPMScheduler

from videoworker.sampling.schedule import Step


@dataclass(frozen=True)
class DiffusionSchedule:
    """`scheduler` is diffusers', with its timesteps on the host. No step changes it. `timesteps` [steps] are the same
    on the device, from the scheduler's timestep `first` on. DPM adds noise, which it draws from `generator`."""

    scheduler: Any
    timesteps: torch.Tensor
    generator: torch.Generator
    first: int = 0

    def starting_at(self, level: float) -> Self:
        """The level of noise at a timestep is its standard deviation, (1 - alphas_cumprod) ** 0.5."""
        variances = 1 - self.scheduler.alphas_cumprod[self.scheduler.timesteps[self.first :]]
        skipped = int((variances**0.5 > level).sum())
        return replace(self, timesteps=self.timesteps[skipped:], first=self.first + skipped)

    def noised(self, clean: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        if not len(self.timesteps):
            return clean
        mixed: torch.Tensor = self.scheduler.add_noise(clean, noise, self.scheduler.timesteps[self.first].reshape(1))
        return mixed

    def clean(self, index: int, predicted: torch.Tensor, latents: torch.Tensor) -> torch.Tensor:
        if self.scheduler.config.prediction_type == "sample":
            return predicted
        signal, noise = self._shares(index)
        return signal * latents - noise * predicted

    def predicted(self, index: int, clean: torch.Tensor, latents: torch.Tensor) -> torch.Tensor:
        if self.scheduler.config.prediction_type == "sample":
            return clean
        signal, noise = self._shares(index)
        return (signal * latents - clean) / noise

    def _shares(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Of the clean latents and of the noise, in the latents at step `index`: what v-prediction goes by
        (arXiv:2202.00512)."""
        signal = self.scheduler.alphas_cumprod[self.scheduler.timesteps[self.first + index]]
        return signal**0.5, (1 - signal) ** 0.5

    def step(self, index: int, predicted: torch.Tensor, latents: torch.Tensor, done: Sequence[Step]) -> Step:
        timestep = self.scheduler.timesteps[self.first + index]
        if isinstance(self.scheduler, CogVideoXDPMScheduler):
            earlier = self.scheduler.timesteps[self.first + index - 1] if done else None
            foreseen = done[-1].clean if done else None
            after, clean = self.scheduler.step(
                predicted, foreseen, timestep, earlier, latents, generator=self.generator
            )
        else:
            after, clean = self.scheduler.step(predicted, timestep, latents, return_dict=False)
        return Step(latents, clean, after)
