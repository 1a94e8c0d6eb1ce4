"""Mochi's decoder in less memory: the same layers, which hold fewer of their numbers at a time.

Each frame is normed by itself; diffusers' own norms copy all of a piece's to norm them, and their answers to join them.
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
    """Puts such norms and carrying convolutions in place of the decoder's own."""
    carry_frames(decoder, MochiChunkedGroupNorm3D, _Norm)
