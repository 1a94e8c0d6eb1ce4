"""CogVideoX's decoder in less memory: the same layers, with fewer activations in memory at a time.

diffusers' own norms scale a whole piece by tensors as large as the piece. They remember these for the next piece, which
does not need them. Here each latent scales the frames that it stands for.
"""

from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl_cogvideox import CogVideoXSpatialNorm3D
from torch import nn
from torch.nn import functional

from videoworker.sampling.carried_convolution import carry_frames


class _Norm(nn.Module):
    """Takes the place of a norm that is conditioned on the latents, and has its weights."""

    def __init__(self, replaced: Any) -> None:
        super().__init__()
        self.norm_layer, self.conv_y, self.conv_b = replaced.norm_layer, replaced.conv_y.conv, replaced.conv_b.conv

    def forward(
        self, f: torch.Tensor, zq: torch.Tensor, conv_cache: dict[str, torch.Tensor] | None = None
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """`f` [B, C, t, h, w], normed, then scaled and shifted by the latents `zq` of its places. Remembers nothing."""
        size, normed = f.shape[-2:], self.norm_layer(f)
        alone = f.shape[2] % 2 if f.shape[2] > 1 else 0  # if it is 1, the first latent stands for one frame
        each = (f.shape[2] - alone) // (zq.shape[2] - alone)
        first = 0
        for index, latent in enumerate(zq.unbind(2)):
            end = alone + (index + 1 - alone) * each
            resized = functional.interpolate(latent, size=size).unsqueeze(2)
            normed[:, :, first:end].mul_(self.conv_y(resized)).add_(self.conv_b(resized))
            first = end
        return normed, {}


def slim(decoder: nn.Module) -> None:
    """Replaces the decoder's norms and causal convolutions."""
    carry_frames(decoder, CogVideoXSpatialNorm3D, _Norm)
