"""What the tests of every family need to run it on a small checkpoint."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch

from videoworker.canvas import Picture
from videoworker.sampling.pixels import to_frames
from videoworker.sampling.reader import Reader

CPU = torch.device("cpu")


def reader(folder: Path, dtype: torch.dtype = torch.float32, places: Mapping[str, str] | None = None) -> Reader:
    """Reads every network in the same dtype."""
    return Reader(folder, CPU, defaultdict(lambda: dtype), places=places or {})


def frames_of(pieces: Iterator[torch.Tensor]) -> Iterator[Picture]:
    """The frames of decoded pieces, one by one."""
    for pixels in pieces:
        yield from to_frames(pixels)
