"""Makes the README's picture of a sound: frames of a video, and below them what is heard of it."""

from pathlib import Path
from typing import Annotated

import av
import numpy as np
import typer
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from builder.evaluate_sketch import read
from builder.sketch_foley.measure import bounces_seen, read_sound

_WIDTH, _FRAMES, _FRAME, _HEIGHT, _LEFT, _GAP = 900, 9, 100, 220, 64, 6
_RATE, _WINDOW = 48_000, 2048
_LOWEST, _HIGHEST = 60, 12_000  # Hz
_FLOOR = -75.0  # dB below the loudest
_LABELS = (100, 300, 1000, 3000, 10_000)
_INK, _MARK = (70, 70, 70), (230, 60, 40)
# From quiet to loud.
_COLOURS = np.array([(255, 255, 255), (196, 214, 238), (96, 140, 205), (44, 62, 140), (20, 16, 60)], float)


def _frames(frames: NDArray[np.uint8]) -> Image.Image:
    """Evenly spaced from the first moment to the last, side by side, each at its place in time."""
    row = Image.new("RGB", (_WIDTH, _FRAME), "white")
    for index in range(_FRAMES):
        frame = Image.fromarray(frames[round(index * (len(frames) - 1) / (_FRAMES - 1))])
        width = round(_FRAME * frame.width / frame.height)
        row.paste(frame.resize((width, _FRAME)), (round(index * (_WIDTH - width) / (_FRAMES - 1)), 0))
    return row


def _spectrogram(samples: NDArray[np.float32]) -> Image.Image:
    """Time to the right, frequency upwards in octaves."""
    padded = np.pad(samples, _WINDOW // 2)
    starts = np.linspace(0, len(samples) - 1, _WIDTH).astype(int)
    views = np.stack([padded[start : start + _WINDOW] for start in starts]) * np.hanning(_WINDOW)
    power = np.square(np.abs(np.fft.rfft(views, axis=1)))
    frequencies = np.geomspace(_HIGHEST, _LOWEST, _HEIGHT)
    bins = np.minimum(np.round(frequencies * _WINDOW / _RATE).astype(int), power.shape[1] - 1)
    levels = 10 * np.log10(power[:, bins].T / power.max() + 1e-12)
    share = np.clip(1 - levels / _FLOOR, 0, 1) * (len(_COLOURS) - 1)
    below = np.minimum(share.astype(int), len(_COLOURS) - 2)
    part = (share - below)[..., None]
    colours = _COLOURS[below] * (1 - part) + _COLOURS[below + 1] * part
    return Image.fromarray(colours.round().astype(np.uint8))


def _row(heard: NDArray[np.float32], seen: NDArray[np.uint8], bounces: list[float], seconds: float) -> Image.Image:
    font = ImageFont.load_default(12)
    picture = Image.new("RGB", (_LEFT + _WIDTH, _FRAME + _GAP + _HEIGHT + 20), "white")
    picture.paste(_frames(seen), (_LEFT, 0))
    top = _FRAME + _GAP
    picture.paste(_spectrogram(heard), (_LEFT, top))
    draw = ImageDraw.Draw(picture)
    for frequency in _LABELS:
        y = top + round(np.log(_HIGHEST / frequency) / np.log(_HIGHEST / _LOWEST) * _HEIGHT)
        draw.text((_LEFT - 8, y), f"{frequency} Hz", fill=_INK, font=font, anchor="rm")
    for half in range(int(seconds * 2) + 1):
        x = _LEFT + round(half / 2 / seconds * _WIDTH)
        draw.text(
            (min(x, _LEFT + _WIDTH - 12), top + _HEIGHT + 4), f"{half / 2:g} s", fill=_INK, font=font, anchor="ma"
        )
    for bounce in bounces:
        x = _LEFT + round(bounce / seconds * _WIDTH)
        for y in range(0, top + _HEIGHT, 8):
            draw.line([(x, y), (x, y + 4)], fill=_MARK, width=2)
    return picture


def main(
    videos: list[Path],
    to: Annotated[Path, typer.Option(help="the PNG to write")] = Path("docs/sketch-foley.png"),
) -> None:
    """Writes frames and spectrogram of each video, with a dashed line at each bounce that is seen."""
    rows = []
    for video in videos:
        with av.open(str(video)) as file:
            rate = float(file.streams.video[0].average_rate or 1)
        seen = read(video, 128)
        rows.append(_row(read_sound(video), seen, bounces_seen(seen, rate), len(seen) / rate))
    picture = Image.new("RGB", (rows[0].width, sum(row.height + _GAP for row in rows) - _GAP), "white")
    for index, row in enumerate(rows):
        picture.paste(row, (0, index * (row.height + _GAP)))
    to.parent.mkdir(parents=True, exist_ok=True)
    picture.quantize(64).save(to, optimize=True)


if __name__ == "__main__":
    typer.run(main)
