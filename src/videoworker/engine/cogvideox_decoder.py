"""CogVideoX's decoder in less memory: the same layers, which hold fewer of their numbers at a time.

diffusers' own scale a whole piece by tensors as large as it, copy it to put the frames before in front, and remember
what they need not. Here both are done a few frames at a time, and what a layer remembers is written over in place. What
is remembered belongs to the caller's loop: a decode that is given up leaves nothing in the network.
"""

from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl_cogvideox import (
    CogVideoXCausalConv3d,
    CogVideoXSpatialNorm3D,
)
from torch import nn
from torch.nn import functional

# A convolution takes as many frames at once as have so many bytes; at least one.
_BYTES_AT_ONCE = 2**28


class _Norm(nn.Module):
    """Takes the place of a norm that is conditioned on the latents, and has its weights."""

    def __init__(self, replaced: Any) -> None:
        super().__init__()
        self.norm_layer, self.conv_y, self.conv_b = replaced.norm_layer, replaced.conv_y.conv, replaced.conv_b.conv

    def forward(
        self, f: torch.Tensor, zq: torch.Tensor, conv_cache: dict[str, torch.Tensor] | None = None
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """`f` [B, C, t, h, w], normed, scaled and shifted by the latents `zq` at the same place; remembers nothing."""
        size, normed = f.shape[-2:], self.norm_layer(f)
        alone = f.shape[2] % 2 if f.shape[2] > 1 else 0  # where it is 1, the first latent stands for one frame
        each = (f.shape[2] - alone) // (zq.shape[2] - alone)
        first = 0
        for index, latent in enumerate(zq.unbind(2)):
            end = alone + (index + 1 - alone) * each
            shown = functional.interpolate(latent, size=size).unsqueeze(2)
            normed[:, :, first:end].mul_(self.conv_y(shown)).add_(self.conv_b(shown))
            first = end
        return normed, {}


class _Convolution(nn.Module):
    """Takes the place of a causal convolution, and has its weights."""

    def __init__(self, replaced: Any) -> None:
        super().__init__()
        self.conv, self._before = replaced.conv, replaced.time_kernel_size - 1

    def forward(
        self, inputs: torch.Tensor, conv_cache: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The convolution of a piece [B, C, t, h, w] that follows the frames in `conv_cache` (None: its own first), and
        the frames that the next piece follows: in `conv_cache` itself where there is one."""
        remembered, count = self._before, inputs.shape[2]
        before = inputs[:, :, :1].expand(-1, -1, remembered, -1, -1) if conv_cache is None else conv_cache
        at_once = max(_BYTES_AT_ONCE // (inputs[:, :, 0].numel() * inputs.element_size()), 1)
        made = inputs.new_empty(0)
        for start in range(0, count, at_once):
            first, end = start - remembered, min(start + at_once, count)
            window = inputs[:, :, max(first, 0) : end]
            if first < 0:
                window = torch.cat([before[:, :, first:], window], dim=2)
            part = self.conv(window)
            if not start:
                made = part if end == count else part.new_empty((*part.shape[:2], count, *part.shape[3:]))
            if end - start < count:
                made[:, :, start:end] = part
        last = torch.cat([before[:, :, count:], inputs[:, :, -remembered:]], dim=2)
        return made, last if conv_cache is None else conv_cache.copy_(last)


def slim(decoder: nn.Module) -> None:
    """Puts these layers in place of the decoder's own, and lets activations write over what they are given."""
    for module in list(decoder.modules()):
        for name, child in module.named_children():
            if isinstance(child, CogVideoXSpatialNorm3D):
                setattr(module, name, _Norm(child))
            elif isinstance(child, CogVideoXCausalConv3d):
                setattr(module, name, _Convolution(child))
        if isinstance(module, nn.SiLU):  # each comes behind a norm, whose answer nobody else reads
            module.inplace = True
