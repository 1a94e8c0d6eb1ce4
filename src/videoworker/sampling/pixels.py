"""Frames to the pixels of autoencoders and back: RGB, uint8, colours last, to -1..1, colours first."""

import torch

from videoworker.canvas import Frames


def from_frames(frames: Frames, device: torch.device, dtype: torch.dtype) -> torch.Tensor:
    """Pixels [1, 3, n, height, width] from -1 to 1."""
    pixels = torch.from_numpy(frames).to(device, torch.float32).permute(3, 0, 1, 2).unsqueeze(0)
    return (pixels / 127.5 - 1).to(dtype)


def to_frames(pixels: torch.Tensor) -> Frames:
    """Frames from pixels [1, 3, n, height, width] from -1 to 1."""
    frames = ((pixels[0].float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return frames.permute(1, 2, 3, 0).cpu().numpy()
