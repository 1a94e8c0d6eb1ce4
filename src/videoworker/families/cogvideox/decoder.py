"""CogVideoX's decoder in less memory and time: the same layers, with fewer passes over memory.

diffusers' own norms scale a whole piece by tensors as large as the piece, which they convolve from latents enlarged to
that size, and remember for the next piece, which does not need them. Here latents are convolved while they are small,
and each scales the frames that it stands for.
"""

from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl_cogvideox import CogVideoXResnetBlock3D, CogVideoXSpatialNorm3D
from torch import nn
from torch.nn import functional

from videoworker.sampling.carried_convolution import activated, carry_frames, convolve

_Cache = dict[str, torch.Tensor]


class _Norm(nn.Module):
    """Takes the place of a norm that is conditioned on the latents, and has its weights."""

    def __init__(self, replaced: Any) -> None:
        super().__init__()
        self.norm_layer, self.conv_y, self.conv_b = replaced.norm_layer, replaced.conv_y.conv, replaced.conv_b.conv

    def forward(
        self, f: torch.Tensor, zq: torch.Tensor, conv_cache: _Cache | None = None
    ) -> tuple[torch.Tensor, _Cache]:
        """`f` [B, C, t, h, w], normed, then scaled and shifted by the latents `zq` of its places. Remembers nothing."""
        size, normed = f.shape[-2:], self.norm_layer(f)
        alone = f.shape[2] % 2 if f.shape[2] > 1 else 0  # if it is 1, the first latent stands for one frame
        each = (f.shape[2] - alone) // (zq.shape[2] - alone)
        first = 0
        for index, latent in enumerate(zq.split(1, dim=2)):
            end = alone + (index + 1 - alone) * each
            scale, shift = (
                functional.interpolate(convolution(latent).squeeze(2), size=size).unsqueeze(2)
                for convolution in (self.conv_y, self.conv_b)
            )
            frames = normed[:, :, first:end]
            torch.addcmul(shift, frames, scale, out=frames)
            first = end
        return normed, {}


class _ResidualBlock(nn.Module):
    """Takes the place of a residual block, and has its weights."""

    def __init__(self, replaced: Any) -> None:
        super().__init__()
        self.norm1, self.conv1 = _Norm(replaced.norm1), replaced.conv1
        self.norm2, self.conv2 = _Norm(replaced.norm2), replaced.conv2
        self.shortcut = replaced.conv_shortcut if replaced.in_channels != replaced.out_channels else nn.Identity()

    def forward(
        self, inputs: torch.Tensor, temb: None, zq: torch.Tensor, conv_cache: _Cache | None = None
    ) -> tuple[torch.Tensor, _Cache]:
        """`inputs` [B, C, t, h, w] of the latents `zq`, and what to remember for the next piece."""
        before = conv_cache or {}
        made, _ = self.norm1(inputs, zq)
        made, first = convolve(self.conv1, made, before.get("conv1"), activated)
        made, _ = self.norm2(made, zq)
        made, second = convolve(self.conv2, made, before.get("conv2"), activated)
        return made.add_(self.shortcut(inputs)), {"conv1": first, "conv2": second}


def slim(decoder: nn.Module) -> None:
    """Replaces the decoder's residual blocks, its other norm and its other causal convolutions."""
    carry_frames(decoder, {CogVideoXResnetBlock3D: _ResidualBlock, CogVideoXSpatialNorm3D: _Norm})
