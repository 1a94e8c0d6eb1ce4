"""Measures `sketch` on combinations it was never trained on, from the pixels of the files that the worker makes.

Run as `python -m builder.evaluate_sketch`. Each clip goes the product's whole way (request, plan, engine, file) and is
read back from the file, so that scaling, cropping and the codec are part of what is measured. First the autoencoder is
measured alone, on drawn scenes.
"""

import collections
import math
import random
import tempfile
from pathlib import Path
from typing import Annotated

import av
import numpy as np
import typer

from builder.sketch.measure import look, overlap
from builder.sketch.prompts import sentence
from builder.sketch.roundtrip import kept
from builder.sketch.scenes import SHAPES, all_combinations, is_held_out
from videoworker import job
from videoworker.engine.device import Device
from videoworker.engine.engine import Engine
from videoworker.models.sketch import SKETCH
from videoworker.planning.placement import Placement
from videoworker.request import VideoRequest
from videoworker.settings import settings
from videoworker.watch import Watch
from videoworker.weights.find import LocalCheckpoints

ATTRIBUTES = ("shape", "colour", "background", "motion")


def held_out(
    count: int, seed: int, shape: str | None = None, motion: str | None = None
) -> list[tuple[tuple[str, str, str, str], str]]:
    """`count` held-out combinations, or all if there are fewer, each with a sentence that says all of it. If `shape` or
    `motion` is given, they all have it."""
    rng = random.Random(f"evaluate/{seed}")
    possible = [c for c in all_combinations() if is_held_out(c) and shape in (None, c[0]) and motion in (None, c[3])]
    chosen = rng.sample(possible, min(count, len(possible)))
    return [(combination, sentence(rng, *combination)) for combination in chosen]


def read(path: Path, height: int) -> np.ndarray:
    """All frames of a file, scaled down to `height` rows: RGB uint8 [T, height, width, 3]."""
    with av.open(str(path)) as file:
        frames = []
        for frame in file.decode(video=0):
            width = round(frame.width * height / frame.height / 2) * 2
            frames.append(frame.reformat(width=width, height=height, format="rgb24").to_ndarray())
    return np.stack(frames)


class _Tally:
    """What is measured of clips, and its means."""

    def __init__(self) -> None:
        self._right: dict[str, list[bool]] = collections.defaultdict(list)
        self._overlaps: dict[str, list[float]] = collections.defaultdict(list)
        self._seconds: dict[str, list[float]] = collections.defaultdict(list)

    def add(self, asked: tuple[str, str, str, str], frames: np.ndarray, timings: dict[str, float]) -> str:
        """Says what was found in a clip's frames."""
        seen, misses = look(frames), []
        for attribute, wanted in zip(ATTRIBUTES, asked, strict=True):
            shown = getattr(seen, attribute)
            self._right[attribute].append(shown == wanted)
            misses += [f"{attribute} {wanted} seen as {shown}"] if shown != wanted else []
        self._right[f"motion, {asked[3]}"].append(seen.motion == asked[3])
        shape_overlap = overlap(frames, asked[0])
        self._overlaps[asked[0]].append(shape_overlap)
        for stage, seconds in timings.items():
            self._seconds[stage].append(seconds)
        return f"{timings['total']:.1f} s, overlap {shape_overlap:.3f}: {'; '.join(misses) or 'right'}"

    def print(self) -> None:
        for name, each in sorted(self._right.items()):
            print(f"  {name}: {np.mean(each):.1%} of {len(each)}")
        for shape, each_overlap in sorted(self._overlaps.items()):
            print(f"  overlap, {shape}: {np.mean(each_overlap):.3f} of {len(each_overlap)}")
        print("  seconds: " + ", ".join(f"{stage} {np.mean(each):.2f}" for stage, each in self._seconds.items()))


def _print_autoencoder(count: int, seed: int) -> None:
    """Loads the model on its own, measures its autoencoder, and drops it."""
    watch = Watch("evaluate", lambda _: None, math.inf)
    folder = LocalCheckpoints(settings()).bring(SKETCH.checkpoint, watch).folder
    loaded = Device().use(SKETCH, folder, Placement.RESIDENT, watch)
    print(f"autoencoder alone, {count} held-out drawn scenes of each shape")
    for shape in SHAPES:
        found = kept(loaded.networks, shape, count, seed)
        print(f"  {shape}: {found.psnr:.1f} dB, overlap {found.overlap:.3f}", flush=True)


def main(
    width: int = 256,
    height: int = 256,
    count: int = 64,
    steps: Annotated[int | None, typer.Option(help="denoising steps; the model's default if absent")] = None,
    guidance_scale: Annotated[float | None, typer.Option(help="the model's default if absent")] = None,
    seed: int = 0,
    shape: Annotated[str | None, typer.Option(help="only clips of this shape")] = None,
    motion: Annotated[str | None, typer.Option(help="only clips of this motion")] = None,
    scenes: Annotated[int, typer.Option(help="drawn scenes of each shape for the autoencoder alone; 0: none")] = 4,
) -> None:
    """Prints how well the autoencoder keeps drawn scenes, the share of clips that show each attribute as asked for, how
    clean the shapes are, and the seconds that a clip takes."""
    if scenes:
        _print_autoencoder(scenes, seed)
    engine = Engine(settings())
    engine.load(SKETCH, Watch("evaluate", lambda _: None, 3600))
    tally, asked = _Tally(), held_out(count, seed, shape, motion)
    for number, (combination, prompt) in enumerate(asked):
        request = VideoRequest(
            "native", prompt, model=SKETCH.name, width=width, height=height, num_inference_steps=steps,
            guidance_scale=guidance_scale, seed=seed * 1000 + number, quality="high",
        )  # fmt: skip
        with tempfile.TemporaryDirectory() as folder:
            current = settings().model_copy(update={"output_dir": Path(folder)})
            result = job.run({"id": "evaluate"}, request, Watch("evaluate", lambda _: None, 3600), engine, current)
            frames = read(Path(folder) / "evaluate" / "video.mp4", min(height, 256))
        print(f"{number + 1}/{len(asked)} {prompt!r} {tally.add(combination, frames, result.timings)}", flush=True)
    print(
        f"{width}x{height}, {len(asked)} held-out combinations, {result.video.steps} steps, "
        f"guidance {result.video.guidance_scale:g}"
    )
    tally.print()


if __name__ == "__main__":
    typer.run(main)
