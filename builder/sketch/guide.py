"""What speeds up the training of the transformer of `sketch` and is thrown away after it.

Aligning a diffusion transformer's middle layers with features of the clean picture makes it learn several times faster
(arXiv:2410.06940). Here the truth about a clip is known: how far every place is from the shape's outline. And every
noise level's error is weighed by what is usual at that level (after arXiv:2312.02696), so that the hopeless guesses in
pure noise do not drown what can be learnt.
"""

import torch
from torch import nn

from builder.sketch.scenes import Scene, signed_distances

_TOKEN = 32  # pixels that a token covers each way
_POINTS = 4  # points each way in a token at which the distance is told
_FRAMES = 2  # frames of a latent at which it is told: the middle one and the last
_REACH = 0.1  # distances are told up to about this share of the picture's shorter side
_LEVELS = 16


def outlines(scene: Scene, width: int, height: int, num_latents: int, first_frame: int) -> torch.Tensor:
    """What every token should know: [num_latents * rows * columns, 32], within -1..1, negative inside the shape."""
    last = first_frame + 4.0 * torch.arange(num_latents)
    middle = torch.where(torch.arange(num_latents) == 0, last, last - 2)
    times = torch.stack([middle, last], 1).flatten()
    rows, columns = height // _TOKEN, width // _TOKEN
    told = (signed_distances(scene, columns * _POINTS, rows * _POINTS, times) / _REACH).tanh()
    told = told.view(num_latents, _FRAMES, rows, _POINTS, columns, _POINTS).permute(0, 2, 4, 1, 3, 5)
    return told.reshape(num_latents * rows * columns, _FRAMES * _POINTS * _POINTS)


class Guide(nn.Module):
    """Reads the outline from a middle layer's tokens, and keeps each noise level's usual error."""

    usual: torch.Tensor

    def __init__(self, layer: nn.Module, width: int) -> None:
        """`layer` is the transformer block whose tokens [B, tokens, width] are read."""
        super().__init__()
        self.read = nn.Linear(width, _FRAMES * _POINTS * _POINTS)
        self.register_buffer("usual", torch.full((_LEVELS,), 0.2))
        self._tokens: list[torch.Tensor] = []
        layer.register_forward_hook(self._keep)

    def _keep(self, layer: nn.Module, inputs: object, outputs: tuple[torch.Tensor, torch.Tensor]) -> None:
        self._tokens = [outputs[0]]

    def error(self, told: torch.Tensor) -> torch.Tensor:
        """The reading's error per clip [B] in the forward pass just made; `told` is [B, tokens, 32]."""
        read: torch.Tensor = self.read(self._tokens.pop())
        return (read.float() - told).square().flatten(1).mean(1)

    def weights(self, errors: torch.Tensor, noise_levels: torch.Tensor) -> torch.Tensor:
        """For each clip's error [B] at its noise level [B] (0..1) the weight that makes all levels count alike."""
        levels = (noise_levels * _LEVELS).long().clamp(max=_LEVELS - 1)
        for level, error in zip(levels.tolist(), errors.tolist(), strict=True):
            self.usual[level].lerp_(torch.tensor(error), 0.02)
        return self.usual.mean() / self.usual[levels]
