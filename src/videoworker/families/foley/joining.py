"""How windows that overlap make one sound: whose prediction counts for a latent, at each step.

All windows work on the same latents. While there is much noise, each latent of an overlap follows one window, its
neighbours the other, and they take turns from step to step. An average of predictions that differ would be dull
(arXiv:2502.05130). In the last steps they hardly differ. What is left of it fades from one window to the next.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from videoworker.families.foley.windows import OVERLAP, Window

_FADING_SHARE = 0.1  # of the steps, and at least the last one


@dataclass(frozen=True)
class Share:
    """What a window has of its latents. `covering` [length] is how many windows have a latent, `offset` [length] the
    latent's number less the window's rank among those. `fading` [length] are weights that sum to 1 over the windows."""

    covering: torch.Tensor
    offset: torch.Tensor
    fading: torch.Tensor

    def weights(self, index: int, steps: int) -> torch.Tensor:
        """[length], at step `index` of `steps`. Over the windows they sum to 1."""
        if index + 1 > (1 - _FADING_SHARE) * steps or index + 1 == steps:
            return self.fading
        return ((self.offset + index) % self.covering == 0).to(self.fading)


def shares(windows: Sequence[Window], device: torch.device) -> list[Share]:
    """The share of each window, in their order."""
    count = windows[-1].start + windows[-1].length
    covering, total = torch.zeros(count, dtype=torch.long), torch.zeros(count)
    offsets, ramps = [], []
    for window in windows:
        place = slice(window.start, window.start + window.length)
        numbers = torch.arange(window.length)
        offsets.append(numbers + window.start - covering[place])
        ramp = torch.full((window.length,), OVERLAP)
        if window.start > 0:
            ramp = torch.minimum(ramp, numbers + 1)
        if window.start + window.length < count:
            ramp = torch.minimum(ramp, window.length - numbers)
        ramps.append(ramp.float())
        covering[place] += 1
        total[place] += ramps[-1]
    return [
        Share(
            covering[window.start : window.start + window.length].to(device),
            offset.to(device),
            (ramp / total[window.start : window.start + window.length]).to(device),
        )
        for window, offset, ramp in zip(windows, offsets, ramps, strict=True)
    ]
