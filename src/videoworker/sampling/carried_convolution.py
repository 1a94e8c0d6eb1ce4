"""Causal convolutions that carry their last frames on, so that a clip is decoded piece by piece.

diffusers' own copy a piece to put frames in front of it, and once more to put a border around its pictures. They hold
the frames that they remember twice. Mochi's begin every piece as if it were a new clip. Here the numbers go straight to
where the convolution reads them: what makes them (a norm, an activation) writes them there. A piece is convolved a few
frames at a time. The frames that are remembered belong to the caller's loop, so a decode that is not finished leaves
nothing in the network.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl_cogvideox import CogVideoXCausalConv3d
from torch import nn

# So many bytes of frames are convolved at once; at least one frame.
_BYTES_AT_ONCE = 2**28

# Writes some frames [B, C, t, h, w], changed, into a place of the same shape.
Write = Callable[[torch.Tensor, torch.Tensor], Any]


def copied(frames: torch.Tensor, place: torch.Tensor) -> None:
    """The frames as they are."""
    place.copy_(frames)


def activated(frames: torch.Tensor, place: torch.Tensor) -> None:
    """The frames after SiLU."""
    torch.ops.aten.silu.out(frames, out=place)


def convolve(
    layer: Any, inputs: torch.Tensor, before: torch.Tensor | None, write: Write = copied
) -> tuple[torch.Tensor, torch.Tensor]:
    """The convolution of a piece [B, C, t, h, w] by a causal layer of diffusers, and what it has to remember for the
    next piece.

    `before` is what it remembered of the piece before, and is overwritten; None: this is the first one, and its first
    frame is repeated. What is convolved is what `write` makes of the inputs, a few frames at a time and each once.
    """
    made, last = _convolve(layer, inputs, before, write)
    return made, last.clone() if before is None else before.copy_(last)


def convolve_whole(layer: Any, inputs: torch.Tensor, write: Write = copied) -> torch.Tensor:
    """As `convolve`, of a clip that has one piece alone."""
    return _convolve(layer, inputs, None, write)[0]


def _convolve(
    layer: Any, inputs: torch.Tensor, before: torch.Tensor | None, write: Write
) -> tuple[torch.Tensor, torch.Tensor]:
    """As `convolve`, but what has to be remembered lies in what was convolved last."""
    *border, back, _ = layer.time_causal_padding
    width, height = (border[0], border[2]) if layer.pad_mode == "replicate" else (0, 0)  # else `conv` puts zeros there
    count, at_once = inputs.shape[2], max(_BYTES_AT_ONCE // (inputs[:, :, 0].numel() * inputs.element_size()), 1)
    is_read_in_place = write is copied and not (back or width or height)
    sizes = (back + min(at_once, count), inputs.shape[3] + 2 * height, inputs.shape[4] + 2 * width)
    window = inputs[:, :, :0] if is_read_in_place else inputs.new_empty((*inputs.shape[:2], *sizes))
    made = inputs.new_empty(0)
    for start in range(0, count, at_once):
        end = min(start + at_once, count)
        if is_read_in_place:
            window = inputs[:, :, start:end]
        else:
            if start:
                for kept in range(back):
                    window[:, :, kept] = window[:, :, kept + at_once]
            elif before is not None:
                window[:, :, :back] = before
            window = window[:, :, : back + end - start]
            new = window[:, :, back:]
            write(inputs[:, :, start:end], new[..., height : new.shape[3] - height, width : new.shape[4] - width])
            _repeat_edges(new, height, width)
            if start == 0 and before is None:
                window[:, :, :back] = new[:, :, :1]
        convolved = layer.conv(window)
        if end - start == count:
            made = convolved
            break
        if not start:
            made = convolved.new_empty((*convolved.shape[:2], count, *convolved.shape[3:]))
        made[:, :, start:end] = convolved
    return made, window[:, :, window.shape[2] - back :]


def _repeat_edges(frames: torch.Tensor, height: int, width: int) -> None:
    """Fills a border of so many rows and columns with the nearest number inside."""
    if width:
        frames[..., :width] = frames[..., width : width + 1]
        frames[..., -width:] = frames[..., -width - 1 : -width]
    if height:
        frames[..., :height, :] = frames[..., height : height + 1, :]
        frames[..., -height:, :] = frames[..., -height - 1 : -height, :]


class CarriedConvolution(nn.Module):
    """Takes the place of a causal convolution of CogVideoX, and has its weights."""

    def __init__(self, replaced: Any) -> None:
        super().__init__()
        self.conv = replaced.conv
        self.time_causal_padding, self.pad_mode = replaced.time_causal_padding, replaced.pad_mode

    def forward(
        self, inputs: torch.Tensor, conv_cache: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """As `convolve`."""
        return convolve(self, inputs, conv_cache)


def carry_frames(decoder: nn.Module, others: Mapping[type[nn.Module], Callable[[Any], nn.Module]]) -> None:
    """Replaces all causal convolutions of the decoder by carrying ones, and layers of each other class by what `others`
    makes of them.

    Activations that are left overwrite their input. Each follows a layer whose output nobody else reads.
    """
    replacements = {CogVideoXCausalConv3d: CarriedConvolution, **others}
    for module in list(decoder.modules()):
        for name, child in module.named_children():
            if type(child) in replacements:
                setattr(module, name, replacements[type(child)](child))
        if isinstance(module, nn.SiLU):
            module.inplace = True
