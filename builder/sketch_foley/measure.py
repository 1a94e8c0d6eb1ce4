"""What is heard in a finished file, and the bounces that are seen in it, from its samples and pixels alone.

Nothing here knows how the file was made; drawn sounds of drawn scenes measure right, which a test shows.
"""

from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]

_RATE = 48_000
_SILENCE = -50.0  # dBFS
_STEP = 240  # samples of 5 ms: what onsets are counted in
_RISE, _LEAST = 10.0, -32.0  # dB: of an onset over what was before, and under the loudest moment
_BEFORE = 5  # steps that were quieter
_APART = 20  # steps between two onsets, at least
_WINDOW, _HOP = 2048, 480  # samples of a spectrum, and from one to the next
_PEAKS, _WIDTH = 5, 2  # a tone has most of its energy in so many peaks, so many bins to each side of one
_TONAL = 0.75
_HIGHEST = {"hum": 660.0, "wood": 1300.0, "bell": 2800.0}  # Hz of their strongest partial
_STEADY = 0.06  # share by which the pitch of a tone may change


@dataclass(frozen=True)
class Heard:
    """`loudness` is the sound's in dBFS. `onsets` are seconds at which something begins suddenly. `timbre` is a name of
    `TIMBRES` or "silence". `pitch` is "rising", "falling" or "steady", `swell` by how many dB the end is louder than
    the beginning, `depth` by how many dB the quieter moments are below the louder ones."""

    loudness: float
    onsets: list[float]
    timbre: str
    pitch: str
    swell: float
    depth: float


def read_sound(path: Path) -> Samples:
    """The samples of a file's sound, from -1 to 1."""
    with av.open(path) as file:
        pieces = [frame.to_ndarray()[0] for frame in file.decode(audio=0)]
    return np.concatenate(pieces).astype(np.float32)


def listen(samples: Samples) -> Heard:
    """Measures samples at 48 kHz."""
    loudness = _decibels(float(np.square(samples).mean()))
    if loudness < _SILENCE:
        return Heard(loudness, [], "silence", "steady", 0.0, 0.0)
    power = _spectra(samples)
    level = power.sum(1)
    loud = level > level.max() / 100
    steps = _levels(samples, 2400)
    inner = steps[2:-2]
    third = len(inner) // 3
    return Heard(
        loudness,
        _onsets(samples),
        _timbre(power[loud]),
        _pitch(power[loud]),
        float(inner[-third:].mean() - inner[:third].mean()),
        float(np.percentile(inner, 90) - np.percentile(inner, 10)),
    )


def bounces_seen(frames: NDArray[np.uint8], fps: float) -> list[float]:
    """The moments in seconds at which what moves in RGB frames [T, height, width, 3] hits the ground: it falls in the
    two frames before and rises in the two after. Each is where both lines meet."""
    heights = _heights(frames)
    found = list[float]()
    for last in range(1, len(heights) - 2):
        before, after = heights[last] - heights[last - 1], heights[last + 2] - heights[last + 1]
        is_turn = max(heights[last], heights[last + 1]) >= heights.max() - 0.25 * np.ptp(heights)
        if before > 0.02 and after < -0.02 and is_turn:
            # heights[last] + before * t = heights[last + 1] + after * (t - 1)
            meeting = (heights[last + 1] - after - heights[last]) / (before - after)
            if -0.2 <= meeting < 1.2 and (not found or (last + meeting) / fps - found[-1] > 0.15):
                found.append((last + meeting) / fps)
    return found


def _heights(frames: NDArray[np.uint8]) -> NDArray[np.float64]:
    """How far down the shape's middle is in each frame, in units of the picture's height."""
    pixels = frames.astype(np.float32)
    ground = np.median(pixels.reshape(-1, 3), axis=0)
    distance = np.linalg.norm(pixels - ground, axis=-1)
    masks = distance > max(float(np.percentile(distance, 99.7)) / 2, 12)
    rows = masks.sum(2)
    numbers = np.arange(masks.shape[1]) + 0.5
    middles: NDArray[np.float64] = (rows * numbers).sum(1) / np.maximum(rows.sum(1), 1) / masks.shape[1]
    return middles


def _decibels(power: float) -> float:
    return float(10 * np.log10(power + 1e-12))


def _levels(samples: Samples, step: int) -> NDArray[np.float64]:
    """In dB, of each `step` samples."""
    count = len(samples) // step
    power = np.square(samples[: count * step].astype(np.float64)).reshape(count, step).mean(1)
    levels: NDArray[np.float64] = 10 * np.log10(power + 1e-10)
    return levels


def _onsets(samples: Samples) -> list[float]:
    levels = _levels(samples, _STEP)
    found: list[int] = []
    for step in range(len(levels) - 1):
        before = levels[max(step - _BEFORE, 0) : step].mean() if step else levels.min()
        now = max(levels[step], levels[step + 1])
        is_rise = now - before > _RISE and levels[step] - before > _RISE / 2
        if is_rise and now > levels.max() + _LEAST and (not found or step - found[-1] > _APART):
            found.append(step)
    return [step * _STEP / _RATE for step in found]


def _spectra(samples: Samples) -> NDArray[np.float64]:
    """Power [frames, bins]."""
    padded = np.pad(samples, (0, max(_WINDOW - len(samples), 0)))
    views = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP]
    power: NDArray[np.float64] = np.square(np.abs(np.fft.rfft(views * np.hanning(_WINDOW), axis=1)))
    return power


def _timbre(power: NDArray[np.float64]) -> str:
    shares = power / power.sum(1, keepdims=True)
    if float(np.median([_tonality(one) for one in shares])) < _TONAL:
        return "noise"
    strongest = float(np.median(shares.argmax(1))) * _RATE / _WINDOW
    return next((timbre for timbre, highest in _HIGHEST.items() if strongest < highest), "noise")


def _tonality(shares: NDArray[np.float64]) -> float:
    """The share of the energy that the strongest peaks have."""
    left, total = shares.copy(), 0.0
    for _ in range(_PEAKS):
        peak = int(left.argmax())
        place = slice(max(peak - _WIDTH, 0), peak + _WIDTH + 1)
        total += float(left[place].sum())
        left[place] = 0
    return total


def _pitch(power: NDArray[np.float64]) -> str:
    frequencies = np.arange(power.shape[1]) * _RATE / _WINDOW
    centres = (power * frequencies).sum(1) / power.sum(1)
    third = max(len(centres) // 3, 1)
    change = float(np.median(centres[-third:]) / np.median(centres[:third])) - 1
    if abs(change) < _STEADY:
        return "steady"
    return "rising" if change > 0 else "falling"
