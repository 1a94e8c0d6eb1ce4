"""Mochi's decoder in less memory: the same layers, with fewer activations in memory at a time.

Each frame is normed by itself. diffusers' own norms copy all frames of a piece to norm them, and again to join them.
"""

from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl_mochi import MochiChunkedGroupNorm3D
from torch import nn

from videoworker.sampling.carried_convolution import carry_frames


class _Norm(nn.Module):
    """Takes the place of a norm, and has its weights."""

    def __init__(self, replaced: Any) -> None:
        super().__init__()
        self.norm_layer = replaced.norm_layer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`x` [B, C, t, h, w], every frame normed."""
        normed = torch.empty_like(x)
        for index, frame in enumerate(x.unbind(2)):
            normed[:, :, index] = self.norm_layer(frame)
        return normed


def slim(decoder: nn.Module) -> None:
    """Replaces the decoder's norms and causal convolutions."""
    carry_frames(decoder, MochiChunkedGroupNorm3D, _Norm)
