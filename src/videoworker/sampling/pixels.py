"""Frames to the pixels of autoencoders and back: RGB, uint8, colours last, to -1..1, colours first."""

import torch

from videoworker.canvas import Frames


def from_frames(frames: Frames, device: torch.device, dtype: torch.dtype) -> torch.Tensor:
    """Pixels [1, 3, n, height, width] from -1 to 1."""
    pixels = torch.from_numpy(frames).to(device, torch.float32).permute(3, 0, 1, 2).unsqueeze(0)
    return (pixels / 127.5 - 1).to(dtype)


def to_frames(pixels: torch.Tensor) -> Frames:
    """Frames from pixels [1, 3, n, height, width] from -1 to 1. Each is converted by itself: memory that was just used
    for one is used for the next."""
    _, _, count, height, width = pixels.shape
    frames = pixels.new_empty((count, height, width, 3), dtype=torch.uint8)
    for made, frame in zip(pixels[0].unbind(1), frames, strict=True):
        frame.copy_(made.float().clamp(-1, 1).add_(1).mul_(127.5).round_().movedim(0, -1))
    return frames.cpu().numpy()
