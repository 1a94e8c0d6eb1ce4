"""What the transformer of `sketch-foley` is trained on: takes as it will see them, and how they sound.

The features come from the product's own code. They are made once and kept on disk, so that a training step is cheap.
"""

import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import torch

from builder.sketch_foley.footage import pictures, random_take, random_wear
from builder.sketch_foley.scores import Take, score
from builder.sketch_foley.sounds import HITS, TIMBRES, latents
from videoworker.families.foley.features import Extractors, Seen, Sides, Viewer, extract
from videoworker.families.foley.windows import windows
from videoworker.families.sound_family import Footage
from videoworker.watch import Watch

# How often takes are so many seconds long. Most are as long as a clip of `sketch`.
_SECONDS = {25 / 12: 0.48, 2.0: 0.24, 1.0: 0.12, 3.0: 0.08, 5.0: 0.05, 10.0: 0.03}


@dataclass(frozen=True)
class Item:
    """One take: features `visual` [V, dim] and `sync` [S, dim], the name of its shape, and by timbre the latents of its
    sound [C, L]."""

    visual: torch.Tensor
    sync: torch.Tensor
    shape: str
    latents: dict[str, torch.Tensor]

    @property
    def sizes(self) -> tuple[int, int, int]:
        return self.visual.shape[0], self.sync.shape[0], next(iter(self.latents.values())).shape[1]

    @property
    def bounces(self) -> bool:
        return bool(next(iter(self.latents.values()))[HITS].any())


def look(take: Take, extractors: Extractors, rng: random.Random) -> Seen:
    """What the model sees of a take that is one window long."""
    footage = Footage(take.num_frames, Fraction(take.fps))
    sides = Sides(extractors.image_encoder.config.image_size, extractors.synchformer.config.image_size)
    with TemporaryFile() as file:
        viewer = Viewer(sides, windows(footage), file)
        for frame in pictures(take, list(range(take.num_frames)), random_wear(rng), rng):
            viewer.see(frame)
        (seen,) = extract(extractors, viewer, Watch("training", lambda _: None, 1e9))
    return seen


@dataclass(frozen=True)
class Extent:
    """How many shards there are, and how many takes each has."""

    shards: int
    takes: int


def make(folder: Path, extractors: Extractors, extent: Extent, seed: int) -> Iterator[int]:
    """Makes the shards that are not there; yields the number of each."""
    folder.mkdir(exist_ok=True)
    for number in range(extent.shards):
        path = folder / f"{number:03}.pt"
        if not path.exists():
            rng = random.Random(f"pool/{seed}/{number}")
            lengths = rng.choices(list(_SECONDS), list(_SECONDS.values()), k=extent.takes)
            items = [vars(_item(rng, seconds, extractors)) for seconds in lengths]
            torch.save(items, path.with_suffix(".partial"))
            path.with_suffix(".partial").replace(path)
        yield number


def read(folder: Path) -> dict[tuple[int, int, int], list[Item]]:
    """All items, by their sizes."""
    items: dict[tuple[int, int, int], list[Item]] = defaultdict(list)
    for path in sorted(folder.glob("*.pt")):
        saved: list[Any] = torch.load(path, weights_only=True)
        for one in saved:
            item = Item(**one)
            items[item.sizes].append(item)
    return items


@torch.inference_mode()
def _item(rng: random.Random, seconds: float, extractors: Extractors) -> Item:
    take = random_take(rng, seconds)
    seen, written = look(take, extractors, rng), score(take)
    generator = torch.Generator().manual_seed(rng.getrandbits(32))
    by_timbre = {timbre: latents(written, timbre, generator).to(torch.bfloat16) for timbre in TIMBRES}
    return Item(seen.visual.to(torch.bfloat16), seen.sync.to(torch.bfloat16), take.scene.shape, by_timbre)
