"""Classifier-free guidance: how the predictions for two prompts become one (arXiv:2207.12598)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self, TypeVar

import torch
from diffusers.guiders.guider_utils import rescale_noise_cfg

Prompt = TypeVar("Prompt")


@dataclass(frozen=True)
class Guidance:
    """`scales` has one number for each step: how far the prediction is led away from the negative prompt's. At 1 the
    negative prompt has no effect, and there is no prediction for it. `rescale` (0..1) is how far the result gets the
    deviation of the prompt's own prediction (arXiv:2305.08891)."""

    scales: tuple[float, ...]
    rescale: float = 0.0

    @classmethod
    def constant(cls, scale: float, steps: int) -> Self:
        return cls((scale,) * steps)

    def prompts(self, index: int, prompts: Sequence[Prompt]) -> Sequence[Prompt]:
        """Those of the prompts that step `index` needs predictions for. The prompt itself is the last one."""
        return prompts if self.scales[index] != 1 else prompts[-1:]

    def combine(self, index: int, predictions: Sequence[torch.Tensor]) -> torch.Tensor:
        """One prediction from those for `prompts`, in the same order."""
        if len(predictions) == 1:
            return predictions[0]
        negative, positive = predictions
        guided = negative + self.scales[index] * (positive - negative)
        return rescale_noise_cfg(guided, positive, self.rescale) if self.rescale else guided
