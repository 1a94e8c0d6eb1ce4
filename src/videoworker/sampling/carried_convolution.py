"""Causal convolutions that carry their last frames on, so that a clip is decoded piece by piece, in little memory.

diffusers' own copy a whole piece to put frames in front of it, and hold the frames that they remember twice. Mochi's
begin every piece as if it were a new clip. Here a piece is convolved a few frames at a time. The frames that are
remembered are overwritten in place. They belong to the caller's loop, so a decode that is not finished leaves nothing
in the network.
"""

from collections.abc import Callable
from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl_cogvideox import CogVideoXCausalConv3d
from torch import nn
from torch.nn import functional

# So many bytes of frames are convolved at once; at least one frame.
_BYTES_AT_ONCE = 2**28


def convolve(layer: Any, inputs: torch.Tensor, before: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
    """The convolution of a piece [B, C, t, h, w] by a causal layer of diffusers, and the frames to put before the next
    piece.

    `before` are the frames to put before this piece, and are overwritten; None: the piece's first frame, repeated.
    """
    *border, back, _ = layer.time_causal_padding
    count = inputs.shape[2]
    earlier = inputs[:, :, :1].expand(-1, -1, back, -1, -1) if before is None else before
    at_once = max(_BYTES_AT_ONCE // (inputs[:, :, 0].numel() * inputs.element_size()), 1)
    made = inputs.new_empty(0)
    for start in range(0, count, at_once):
        first, end = start - back, min(start + at_once, count)
        window = inputs[:, :, max(first, 0) : end]
        if first < 0:
            window = torch.cat([earlier[:, :, first:], window], dim=2)
        if layer.pad_mode == "replicate":  # else `conv` puts zeros around the picture
            window = functional.pad(window, (*border, 0, 0), mode="replicate")
        convolved = layer.conv(window)
        if end - start == count:
            made = convolved
            break
        if not start:
            made = convolved.new_empty((*convolved.shape[:2], count, *convolved.shape[3:]))
        made[:, :, start:end] = convolved
    last = torch.cat([earlier[:, :, count:], inputs[:, :, max(count - back, 0) :]], dim=2)
    return made, last if before is None else before.copy_(last)


class CarriedConvolution(nn.Module):
    """Takes the place of a causal convolution of CogVideoX or Mochi, and has its weights."""

    def __init__(self, replaced: Any) -> None:
        super().__init__()
        self.conv = replaced.conv
        self.time_causal_padding, self.pad_mode = replaced.time_causal_padding, replaced.pad_mode

    def forward(
        self, inputs: torch.Tensor, conv_cache: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """As `convolve`."""
        return convolve(self, inputs, conv_cache)


def carry_frames(decoder: nn.Module, norm: type[nn.Module], norm_in_place: Callable[[Any], nn.Module]) -> None:
    """Replaces all causal convolutions of the decoder by carrying ones, and its norms of class `norm` by what
    `norm_in_place` makes of them.

    Activations overwrite their input from then on. Each follows a norm, whose output nobody else reads.
    """
    replacements = {CogVideoXCausalConv3d: CarriedConvolution, norm: norm_in_place}
    for module in list(decoder.modules()):
        for name, child in module.named_children():
            if type(child) in replacements:
                setattr(module, name, replacements[type(child)](child))
        if isinstance(module, nn.SiLU):
            module.inplace = True
