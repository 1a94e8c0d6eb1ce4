"""How far two clips are apart, frame by frame: PSNR, and SSIM as its authors define it (Wang et al., 2004).

Clips are RGB frames [T, height, width, 3], uint8.
"""

import math

import numpy as np
import torch
from torch.nn import functional

_WHITE = 255.0
_WINDOW, _DEVIATION = 11, 1.5  # pixels, of the Gaussian that weighs a neighbourhood
_C1, _C2 = (0.01 * _WHITE) ** 2, (0.03 * _WHITE) ** 2
_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    """In dB, over all pixels of both clips; infinite if they are equal."""
    error = float(np.square(one.astype(np.float64) - other).mean())
    return 10 * math.log10(_WHITE**2 / error) if error else math.inf


def ssim(one: np.ndarray, other: np.ndarray) -> float:
    """Of the brightness, the mean over all whole neighbourhoods of all frames; 1 if the clips are equal."""
    x, y = (torch.from_numpy(clip @ np.array(_LUMA))[:, None] for clip in (one, other))
    mean_x, mean_y = _smoothed(x), _smoothed(y)
    variance_x, variance_y = _smoothed(x * x) - mean_x**2, _smoothed(y * y) - mean_y**2
    covariance = _smoothed(x * y) - mean_x * mean_y
    likeness = (2 * mean_x * mean_y + _C1) * (2 * covariance + _C2)
    return float((likeness / ((mean_x**2 + mean_y**2 + _C1) * (variance_x + variance_y + _C2))).mean())


def _smoothed(frames: torch.Tensor) -> torch.Tensor:
    """Frames [T, 1, h, w], each pixel the weighted mean of its neighbourhood; without those at the border."""
    offsets = torch.arange(_WINDOW, dtype=frames.dtype) - _WINDOW // 2
    weights = torch.exp(-(offsets**2) / (2 * _DEVIATION**2))
    weights = weights / weights.sum()
    rows = functional.conv2d(frames, weights.view(1, 1, -1, 1))
    return functional.conv2d(rows, weights.view(1, 1, 1, -1))
