"""Measures `sketch` on combinations it was never trained on, from the pixels of the files that the worker makes.

Run as `python -m builder.evaluate_sketch`. Each clip goes the product's whole way (request, plan, engine, file) and is
read back from the file, so that scaling, cropping and the codec are part of what is measured.
"""

import collections
import random
import tempfile
from pathlib import Path
from typing import Annotated

import av
import numpy as np
import typer

from builder.sketch.measure import look
from builder.sketch.prompts import sentence
from builder.sketch.scenes import all_combinations, is_held_out
from videoworker import job
from videoworker.engine.engine import Engine
from videoworker.models.sketch import SKETCH
from videoworker.request import VideoRequest
from videoworker.settings import settings
from videoworker.watch import Watch

ATTRIBUTES = ("shape", "colour", "background", "motion")


def held_out(count: int, seed: int) -> list[tuple[tuple[str, str, str, str], str]]:
    """`count` held-out combinations, each with a sentence that says all of it."""
    rng = random.Random(f"evaluate/{seed}")
    chosen = rng.sample([c for c in all_combinations() if is_held_out(c)], count)
    return [(combination, sentence(rng, *combination)) for combination in chosen]


def read(path: Path, height: int) -> np.ndarray:
    """All frames of a file, scaled down to `height` rows: RGB uint8 [T, height, width, 3]."""
    with av.open(str(path)) as file:
        frames = []
        for frame in file.decode(video=0):
            width = round(frame.width * height / frame.height / 2) * 2
            frames.append(frame.reformat(width=width, height=height, format="rgb24").to_ndarray())
    return np.stack(frames)


def main(
    width: int = 256,
    height: int = 256,
    count: int = 64,
    steps: Annotated[int | None, typer.Option(help="denoising steps; the model's default if absent")] = None,
    guidance_scale: Annotated[float | None, typer.Option(help="the model's default if absent")] = None,
    seed: int = 0,
) -> None:
    """Prints the share of clips that show each attribute as asked for."""
    engine = Engine(settings())
    engine.load(SKETCH, Watch("evaluate", lambda _: None, 3600))
    right: collections.Counter[str] = collections.Counter()
    for number, (combination, prompt) in enumerate(held_out(count, seed)):
        request = VideoRequest(
            "native", prompt, model=SKETCH.name, width=width, height=height, num_inference_steps=steps,
            guidance_scale=guidance_scale, seed=seed * 1000 + number, quality="high",
        )  # fmt: skip
        with tempfile.TemporaryDirectory() as folder:
            current = settings().model_copy(update={"output_dir": Path(folder)})
            result = job.run({"id": "evaluate"}, request, Watch("evaluate", lambda _: None, 3600), engine, current)
            frames = read(Path(folder) / "evaluate" / "video.mp4", min(height, 256))
        seen = look(frames)
        misses = []
        for attribute, asked in zip(ATTRIBUTES, combination, strict=True):
            shown = getattr(seen, attribute)
            right[attribute] += shown == asked
            misses += [f"{attribute} {asked} seen as {shown}"] if shown != asked else []
        print(
            f"{number + 1}/{count} {prompt!r} {result.timings['total']:.1f} s: {'; '.join(misses) or 'right'}",
            flush=True,
        )
    print(
        f"{width}x{height}, {count} held-out combinations, {result.video.steps} steps, "
        f"guidance {result.video.guidance_scale:g}"
    )
    for attribute in ATTRIBUTES:
        print(f"  {attribute}: {right[attribute] / count:.1%}")


if __name__ == "__main__":
    typer.run(main)
