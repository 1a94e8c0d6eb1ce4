"""The norm of HunyuanVideo-1.5's and Wan's autoencoders, with the activation behind it, in few passes over memory.

Each place is divided by the length of its channels. diffusers' own makes a copy in float32, divides it, rounds it, and
multiplies it twice more. Here the length alone is in float32, and all other passes write over what they read.
"""

from typing import Any

import torch
from torch.nn import functional

from videoworker.sampling.carried_convolution import Write

_LEAST_LENGTH = 1e-12  # as torch.nn.functional.normalize has it


def squared_length(frames: torch.Tensor) -> torch.Tensor:
    """Of the channels [B, C, t, h, w] of each place: [B, 1, t, h, w], in float32 at least."""
    exact = torch.promote_types(frames.dtype, torch.float32)
    if frames.device.type == "cpu" and frames.dtype is exact:  # its norms over few channels take four times as long
        return frames.square().sum(dim=1, keepdim=True)
    length: torch.Tensor = torch.linalg.vector_norm(frames, dim=1, keepdim=True, dtype=exact)
    return length.square_()


def normed_and_activated(norm: Any) -> Write:
    """Writes frames [B, C, t, h, w], normed by a layer of diffusers and activated (SiLU), into a place."""

    def write(frames: torch.Tensor, place: torch.Tensor) -> None:
        length = squared_length(frames).sqrt_()
        torch.mul(frames, norm.scale / length.clamp_min_(_LEAST_LENGTH), out=place)
        place.mul_(norm.gamma)
        if isinstance(norm.bias, torch.Tensor):
            place.add_(norm.bias)
        functional.silu(place, inplace=True)

    return write
