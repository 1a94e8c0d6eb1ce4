"""What a clip shows, from its pixels alone: background colour, shape colour, shape and motion.

Nothing here knows how the clip was made; drawn scenes measure right, which a test shows.
"""

import math
from dataclasses import dataclass

import numpy as np

from builder.sketch.scenes import COLOURS, MOTIONS, SHAPES

_RAYS = 72
_HARMONICS = {3: "triangle", 4: "square", 5: "star"}


@dataclass(frozen=True)
class Seen:
    """The attributes as names of `SHAPES`, `COLOURS`, `MOTIONS`."""

    shape: str
    colour: str
    background: str
    motion: str


def look(frames: np.ndarray) -> Seen:
    """Measures RGB frames [T, height, width, 3], uint8."""
    pixels = frames.astype(np.float32)
    ground = np.median(pixels.reshape(-1, 3), axis=0)
    distance = np.linalg.norm(pixels - ground, axis=-1)  # [T, H, W]
    strongest = np.percentile(distance, 99.7)
    masks = distance > max(strongest / 2, 12)
    inside = pixels[distance > strongest * 0.85]
    colour = _nearest(np.median(inside, axis=0)) if len(inside) else "none"
    areas = masks.sum((1, 2))
    if not areas.all():
        return Seen("none", colour, _nearest(ground), "none")
    centres = np.array([[axis.mean() for axis in np.nonzero(mask)] for mask in masks])  # [T, (y, x)]
    spectra = np.array([_spectrum(mask, centre) for mask, centre in zip(masks, centres, strict=True)])
    shape = _shape(spectra)
    return Seen(shape, colour, _nearest(ground), _motion(shape, spectra, areas, centres / min(masks.shape[1:])))


def _nearest(colour: np.ndarray) -> str:
    return min(COLOURS, key=lambda name: float(np.linalg.norm(colour - np.array(COLOURS[name]))))


def _spectrum(mask: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Fourier coefficients of the outline's distance from the centre over the angle, over its mean."""
    reach = np.arange(0.5, math.hypot(*mask.shape), 0.5)
    angles = np.arange(_RAYS) * 2 * math.pi / _RAYS
    y = np.round(centre[0] + np.outer(np.sin(angles), reach)).astype(int)
    x = np.round(centre[1] + np.outer(np.cos(angles), reach)).astype(int)
    within = (y >= 0) & (y < mask.shape[0]) & (x >= 0) & (x < mask.shape[1])
    covered = within & mask[np.clip(y, 0, mask.shape[0] - 1), np.clip(x, 0, mask.shape[1] - 1)]
    outline = covered.sum(1) * 0.5
    spectrum: np.ndarray = np.fft.rfft(outline) / max(outline.sum(), 1e-6)
    return spectrum


def _shape(spectra: np.ndarray) -> str:
    strength = {name: float(np.median(np.abs(spectra[:, k]))) for k, name in _HARMONICS.items()}
    best = max(strength, key=lambda name: strength[name])
    return best if strength[best] > 0.025 else SHAPES[0]


def _motion(shape: str, spectra: np.ndarray, areas: np.ndarray, centres: np.ndarray) -> str:
    """`centres` [T, (y, x)] in units of the shorter side."""
    growth = math.log(areas[-3:].mean() / areas[:3].mean())
    smooth = (centres[:-2] + centres[1:-1] + centres[2:]) / 3
    span = smooth.max(0) - smooth.min(0)
    travelled = np.abs(np.diff(smooth, axis=0)).sum(0)
    moved = smooth[-1] - smooth[0]
    if span[0] > 0.1 and travelled[0] > 1.4 * span[0]:
        return "bouncing"
    if max(abs(moved)) > 0.12:
        if abs(moved[1]) > abs(moved[0]):
            return "right" if moved[1] > 0 else "left"
        return "down" if moved[0] > 0 else "up"
    if abs(growth) > 0.5:
        return "growing" if growth > 0 else "shrinking"
    for harmonic, name in _HARMONICS.items():
        if name == shape:
            turned = np.unwrap(np.angle(spectra[:, harmonic]))
            if abs(turned[-1] - turned[0]) / harmonic > 0.5:
                return "spinning"
    return MOTIONS[-1]
