"""What a clip shows, from its pixels alone: background colour, shape colour, shape and motion, and how clean it is.

Nothing here knows how the clip was made; drawn scenes measure right, which a test shows.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch

from builder.sketch.scenes import COLOURS, CORNERS, MOTIONS, SHAPES, outline_distances, radius_of

_RAYS = 72
_HARMONICS = {count: shape for shape, count in CORNERS.items()}
_STRONG = 99.7  # percentile of the colours' distances that the shape surely has
_FAINTEST = 12  # a shape is at least so far from the background
_COARSE_TURN, _FINE_TURN = math.radians(3), math.radians(0.25)  # between the templates that are tried


@dataclass(frozen=True)
class Seen:
    """The attributes as names of `SHAPES`, `COLOURS`, `MOTIONS`."""

    shape: str
    colour: str
    background: str
    motion: str


def look(frames: np.ndarray) -> Seen:
    """Measures RGB frames [T, height, width, 3], uint8."""
    ground = _ground(frames)
    distances = _distances(frames, ground)
    masks = _masks(distances)
    inside = frames[distances > np.percentile(distances, _STRONG) * 0.85]
    colour = _nearest(np.median(inside, axis=0)) if len(inside) else "none"
    areas = masks.sum((1, 2))
    if not areas.all():
        return Seen("none", colour, _nearest(ground), "none")
    centres = np.array([_centre(mask) for mask in masks])  # [T, (y, x)]
    spectra = np.array([_spectrum(mask, centre) for mask, centre in zip(masks, centres, strict=True)])
    shape = _shape(spectra)
    return Seen(shape, colour, _nearest(ground), _motion(shape, spectra, areas, centres / min(masks.shape[1:])))


def overlap(frames: np.ndarray, shape: str) -> float:
    """How cleanly RGB frames [T, height, width, 3], uint8, show `shape`: the area that what is seen shares with the
    drawn shape of the same area and centre, turned until it fits best, over the area of both together. Mean over the
    frames; a frame without anything counts as 0."""
    masks = _masks(_distances(frames, _ground(frames)))
    return float(np.mean([_fit(mask, shape) if mask.any() else 0.0 for mask in masks]))


def _ground(frames: np.ndarray) -> np.ndarray:
    ground: np.ndarray = np.median(frames.reshape(-1, 3), axis=0)
    return ground


def _distances(frames: np.ndarray, ground: np.ndarray) -> np.ndarray:
    """How far each pixel's colour is from the background's: [T, height, width]."""
    distances: np.ndarray = np.linalg.norm(frames.astype(np.float32) - ground.astype(np.float32), axis=-1)
    return distances


def _masks(distances: np.ndarray) -> np.ndarray:
    """The pixels that show the shape rather than the background."""
    masks: np.ndarray = distances > max(np.percentile(distances, _STRONG) / 2, _FAINTEST)
    return masks


def _centre(mask: np.ndarray) -> tuple[float, float]:
    rows, columns = np.nonzero(mask)
    return float(rows.mean()), float(columns.mean())


def _near(shown: np.ndarray, centre: float, radius: float) -> np.ndarray:
    """The rows or columns that a shape reaches, or that show something."""
    places: np.ndarray = np.arange(len(shown))
    near: np.ndarray = places[shown | (np.abs(places - centre) <= radius)]
    return near


def _fit(mask: np.ndarray, shape: str) -> float:
    """The best overlap of the mask with drawn shapes of its area and centre, at all rotations."""
    area, (row, column) = int(mask.sum()), _centre(mask)
    radius = radius_of(shape, area)
    rows, columns = _near(np.any(mask, axis=1), row, radius), _near(np.any(mask, axis=0), column, radius)
    seen = torch.from_numpy(mask[np.ix_(rows, columns)])
    y, x = torch.from_numpy(rows - row).view(-1, 1), torch.from_numpy(columns - column).view(1, -1)

    def fit(angle: float) -> float:
        drawn = outline_distances(shape, x, y, radius, angle) < 0
        shared = int((drawn & seen).sum())
        return shared / (area + int(drawn.sum()) - shared)

    if shape not in CORNERS:
        return fit(0.0)
    coarse = max(np.arange(0, 2 * math.pi / CORNERS[shape], _COARSE_TURN), key=fit)
    return max(fit(angle) for angle in coarse + np.arange(-_COARSE_TURN, _COARSE_TURN, _FINE_TURN))


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
