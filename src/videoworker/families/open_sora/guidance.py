"""Guidance that oscillates: by the text, and with a first frame by that too (Open-Sora 2.0, arXiv:2503.09642).

Without a frame the prediction without it is the one with it, so that guidance is the usual one of two prompts. When
both scales are 1, the full prediction alone is left. So a clip of 50 steps takes 80 passes, and 110 with a frame.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from videoworker.sampling.guidance import Guidance

_IMAGE_SCALE = 3.0
_STEADY_STEPS = 10  # from then on every other step is not guided


def oscillating(scale: float, steps: int) -> tuple[float, ...]:
    """The scale of each step."""
    return tuple(1.0 if index >= _STEADY_STEPS and index % 2 else scale for index in range(steps))


def image_scales(steps: int, num_latents: int) -> tuple[torch.Tensor, ...]:
    """For each step how far each latent frame is led towards the first frame [num_latents]: the further behind it the
    more, and the less towards the end."""
    largest = torch.linspace(_IMAGE_SCALE, 1.0, steps + 1)[:-1].tolist()
    return tuple(torch.linspace(1.0, scale, num_latents) for scale in largest)


@dataclass(frozen=True)
class ImageGuidance(Guidance):
    """Combines the predictions without text and frame, without text, and with both. `image_scales` has a tensor for
    each step that can be multiplied with a prediction."""

    image_scales: tuple[torch.Tensor, ...] = ()

    def combine(self, index: int, predictions: Sequence[torch.Tensor]) -> torch.Tensor:
        if len(predictions) == 1:
            return predictions[0]
        neither, image, both = predictions
        return neither + self.image_scales[index] * (image - neither) + self.scales[index] * (both - image)
