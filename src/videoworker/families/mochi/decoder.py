"""Mochi's decoder in less memory and time: the same layers, with fewer passes over memory.

Each frame is normed by itself, and goes activated to where the convolution reads it. diffusers' own norms copy all
frames of a piece to norm them, and again to join them.
"""

from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl_mochi import MochiResnetBlock3D
from torch import nn

from videoworker.sampling.carried_convolution import Write, activated, carry_frames, convolve

_Cache = dict[str, torch.Tensor]


class _ResidualBlock(nn.Module):
    """Takes the place of a residual block, and has its weights."""

    def __init__(self, replaced: Any) -> None:
        super().__init__()
        self.norm1, self.conv1 = replaced.norm1.norm_layer, replaced.conv1
        self.norm2, self.conv2 = replaced.norm2.norm_layer, replaced.conv2

    def forward(self, inputs: torch.Tensor, conv_cache: _Cache | None = None) -> tuple[torch.Tensor, _Cache]:
        """`inputs` [B, C, t, h, w], and what to remember for the next piece."""
        before = conv_cache or {}
        made, first = convolve(self.conv1, inputs, before.get("conv1"), _normed(self.norm1))
        made, second = convolve(self.conv2, made, before.get("conv2"), _normed(self.norm2))
        return made.add_(inputs), {"conv1": first, "conv2": second}


def _normed(norm: nn.Module) -> Write:
    """Writes every frame normed and activated."""

    def write(frames: torch.Tensor, place: torch.Tensor) -> None:
        for frame, target in zip(frames.unbind(2), place.unbind(2), strict=True):
            activated(norm(frame), target)

    return write


def slim(decoder: nn.Module) -> None:
    """Replaces the decoder's residual blocks."""
    carry_frames(decoder, {MochiResnetBlock3D: _ResidualBlock})
