"""Noise and latents of the families whose autoencoders say how much they compress."""

from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray

from videoworker.sampling.pixels import from_frames


@dataclass(frozen=True)
class Shape:
    """A segment's frames, in pixels."""

    num_frames: int
    width: int
    height: int


def noise(vae: Any, shape: Shape, generator: torch.Generator, device: torch.device) -> torch.Tensor:
    """Noise [1, T, C, h, w] in float32.

    It is drawn on the CPU, so that a seed means the same on every device. It is drawn in the order [1, C, T, h, w], as
    the families' own pipelines do.
    """
    time = (shape.num_frames - 1) // vae.temporal_compression_ratio + 1
    height, width = (side // vae.spatial_compression_ratio for side in (shape.height, shape.width))
    drawn = torch.randn((1, vae.config.latent_channels, time, height, width), generator=generator)
    return time_first(drawn.to(device))


def encode(vae: Any, frames: NDArray[Any], device: torch.device) -> torch.Tensor:
    """Latents [1, T, C, h, w] of RGB frames [n, height, width, 3], uint8. The autoencoder's `scaling_factor` brings
    them to unit variance."""
    encoded = vae.encode(from_frames(frames, device, vae.dtype)).latent_dist.mode()
    scaled: torch.Tensor = encoded.float() * vae.config.scaling_factor
    return time_first(scaled)


def time_first(latents: torch.Tensor) -> torch.Tensor:
    """[1, T, C, h, w] of [1, C, T, h, w]: the engine's layout, of the one that most transformers take."""
    return latents.transpose(1, 2)
