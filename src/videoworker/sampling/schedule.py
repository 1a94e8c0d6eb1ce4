"""The course from noise to clean latents, as a value: levels of noise, and the step from each to the next.

A schedule is never changed. One that starts at a lower level than pure noise is made from it by `starting_at`, and
`noised` gives the latents that it starts from.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import torch


@dataclass(frozen=True)
class Step:
    """One step, done. All of the latents' shape, in float32. `clean` is what the step foresees as the end of the
    course, `before` and `after` are the latents on the course."""

    before: torch.Tensor
    clean: torch.Tensor
    after: torch.Tensor


class Schedule(Protocol):
    """The course of one clip."""

    @property
    def timesteps(self) -> torch.Tensor:
        """What the denoiser is told at each step, [steps], on its device."""

    def starting_at(self, level: float) -> Self:
        """The rest of the course, from the first step on whose noise is at most `level`; 1 is pure noise."""

    def noised(self, clean: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """What the course starts from, if its end is to be near `clean`."""

    def step(self, index: int, predicted: torch.Tensor, latents: torch.Tensor, done: Sequence[Step]) -> Step:
        """Step `index`, by the denoiser's prediction for `latents`. `done` are the last steps before, oldest first:
        solvers of higher order look back at them."""


@dataclass(frozen=True)
class FlowSchedule:
    """Flow matching in Euler's steps (arXiv:2210.02747): latents are (1 - sigma) * clean + sigma * noise, and the
    denoiser predicts the velocity noise - clean.

    `sigmas` [steps + 1] fall to 0. They lie on the host, so that no step waits for the device. `timesteps` [steps] lie
    on the device.
    """

    sigmas: torch.Tensor
    timesteps: torch.Tensor

    def starting_at(self, level: float) -> Self:
        first = int((self.sigmas[:-1] > level).sum())
        return type(self)(self.sigmas[first:], self.timesteps[first:])

    def noised(self, clean: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        return (1 - self.sigmas[0]) * clean + self.sigmas[0] * noise

    def step(self, index: int, predicted: torch.Tensor, latents: torch.Tensor, done: Sequence[Step]) -> Step:
        sigma, following = self.sigmas[index], self.sigmas[index + 1]
        return Step(latents, latents - sigma * predicted, latents + (following - sigma) * predicted)
