"""Makes the README's picture: a row of frames for each finished video."""

from pathlib import Path
from typing import Annotated

import av
import typer
from PIL import Image

_SIDE, _GAP = 128, 4


def strip(video: Path, columns: int) -> Image.Image:
    """`columns` frames of the file, evenly spaced from the first to the last, side by side."""
    with av.open(str(video)) as file:
        frames = [frame.to_image() for frame in file.decode(video=0)]
    chosen = [frames[round(index * (len(frames) - 1) / (columns - 1))] for index in range(columns)]
    width = round(_SIDE * chosen[0].width / chosen[0].height)
    row = Image.new("RGB", (columns * (width + _GAP) - _GAP, _SIDE), "white")
    for index, frame in enumerate(chosen):
        row.paste(frame.resize((width, _SIDE), Image.Resampling.LANCZOS), (index * (width + _GAP), 0))
    return row


def main(
    videos: list[Path],
    to: Annotated[Path, typer.Option(help="the PNG to write")] = Path("docs/sketch.png"),
    columns: int = 7,
) -> None:
    """Writes one row of frames for each video, top to bottom in the order given."""
    rows = [strip(video, columns) for video in videos]
    picture = Image.new("RGB", (max(row.width for row in rows), len(rows) * (_SIDE + _GAP) - _GAP), "white")
    for index, row in enumerate(rows):
        picture.paste(row, (0, index * (_SIDE + _GAP)))
    to.parent.mkdir(parents=True, exist_ok=True)
    picture.save(to, optimize=True)


if __name__ == "__main__":
    typer.run(main)
