"""Causal convolutions of Mochi's decoder that carry their last frames on, so that a clip is decoded piece by piece.

diffusers' own pad every piece in time with its own first frame, as if a new clip began there.
"""

from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl_cogvideox import CogVideoXCausalConv3d
from torch import nn
from torch.nn import functional


class CarriedConvolution(nn.Module):
    """Takes the place of a causal convolution that pads with copies of the border, and has its weights."""

    def __init__(self, replaced: Any) -> None:
        super().__init__()
        self.conv = replaced.conv
        self._border = (replaced.width_pad, replaced.width_pad, replaced.height_pad, replaced.height_pad, 0, 0)
        self._frames_before = replaced.time_pad

    def forward(
        self, inputs: torch.Tensor, conv_cache: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The convolution of a piece [B, C, t, h, w] that follows the frames in `conv_cache` (None: it begins the
        clip), and the frames that the next piece follows."""
        padded = functional.pad(inputs, self._border, mode="replicate")
        before = padded[:, :, :1].expand(-1, -1, self._frames_before, -1, -1) if conv_cache is None else conv_cache
        joined = torch.cat([before, padded], dim=2)
        return self.conv(joined), joined[:, :, joined.shape[2] - self._frames_before :].clone()


def carry_frames(decoder: nn.Module) -> None:
    """Puts carrying convolutions in place of all of the decoder's causal ones."""
    for module in list(decoder.modules()):
        for name, child in module.named_children():
            if isinstance(child, CogVideoXCausalConv3d):
                setattr(module, name, CarriedConvolution(child))
