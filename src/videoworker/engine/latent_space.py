"""Latents of the families whose autoencoders tell their own ratios of compression."""

from typing import Any

import numpy as np
import torch

from videoworker.engine.pixels import from_frames


def noise(
    vae: Any, num_frames: int, width: int, height: int, generator: torch.Generator, device: torch.device
) -> torch.Tensor:
    """Noise [1, T, C, h, w] in float32, drawn on the CPU so that a seed means the same on every device, and in the
    order [1, C, T, h, w], as the families' own pipelines draw it."""
    time, space = (num_frames - 1) // vae.temporal_compression_ratio + 1, vae.spatial_compression_ratio
    shape = (1, vae.config.latent_channels, time, height // space, width // space)
    return torch.randn(shape, generator=generator).to(device).transpose(1, 2)


def encode(vae: Any, frames: np.ndarray, device: torch.device, dtype: torch.dtype) -> torch.Tensor:
    """Latents [1, T, C, h, w], of unit variance by the autoencoder's `scaling_factor`, of RGB frames [n, height, width,
    3], uint8."""
    encoded = vae.encode(from_frames(frames, device, dtype)).latent_dist.mode()
    scaled: torch.Tensor = encoded.float() * vae.config.scaling_factor
    return scaled.transpose(1, 2)
