"""The course from noise to clean latents, as a value: levels of noise, and the step from each to the next.

A schedule is never changed. `starting_at` makes another one from it, which starts at a lower level than pure noise.
`noised` gives the latents that it starts from.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import torch


@dataclass(frozen=True)
class Step:
    """One step that is done. All are of the latents' shape and in float32. `before` and `after` are the latents on the
    course. `clean` are those that the step predicts for the end of the course."""

    before: torch.Tensor
    clean: torch.Tensor
    after: torch.Tensor


class Schedule(Protocol):
    """The course of one clip."""

    @property
    def timesteps(self) -> torch.Tensor:
        """The denoiser's input at each step, [steps], on its device."""

    def starting_at(self, level: float) -> Self:
        """The rest of the course. It begins with the first step whose noise is at most `level`; 1 is pure noise."""

    def noised(self, clean: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """The latents to start from, if the course is to end near `clean`."""

    def clean(self, index: int, predicted: torch.Tensor, latents: torch.Tensor) -> torch.Tensor:
        """The end of the course, as the denoiser's prediction for `latents` at step `index` has it."""

    def predicted(self, index: int, clean: torch.Tensor, latents: torch.Tensor) -> torch.Tensor:
        """The prediction whose end of the course is `clean`."""

    def step(self, index: int, predicted: torch.Tensor, latents: torch.Tensor, done: Sequence[Step]) -> Step:
        """Step `index`, by the denoiser's prediction for `latents`. `done` are the last steps before it, oldest first.
        Solvers of higher order use them."""


@dataclass(frozen=True)
class FlowSchedule:
    """Flow matching in Euler's steps (arXiv:2210.02747). Latents are (1 - sigma) * clean + sigma * noise. The denoiser
    predicts the velocity noise - clean.

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

    def clean(self, index: int, predicted: torch.Tensor, latents: torch.Tensor) -> torch.Tensor:
        return latents - self.sigmas[index] * predicted

    def predicted(self, index: int, clean: torch.Tensor, latents: torch.Tensor) -> torch.Tensor:
        return (latents - clean) / self.sigmas[index]

    def step(self, index: int, predicted: torch.Tensor, latents: torch.Tensor, done: Sequence[Step]) -> Step:
        sigma, following = self.sigmas[index], self.sigmas[index + 1]
        return Step(latents, self.clean(index, predicted, latents), latents + (following - sigma) * predicted)
