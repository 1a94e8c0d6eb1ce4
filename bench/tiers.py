"""What each tier of `effort` costs and changes: `python -m bench.tiers`.

`sketch` makes the same clips with each tier that it has, of held-out prompts. Predictions are counted where they are
computed, at the transformer. Distances are those of the decoded frames, before the codec, from the frames of `exact`.
"""

import platform
import sys
from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np
import torch
import typer
from diffusers import CogVideoXTransformer3DModel
from torch.nn.modules.module import register_module_forward_hook

from bench.distance import psnr, ssim
from bench.watches import unheard
from builder.evaluate_sketch import ATTRIBUTES, held_out
from builder.sketch.measure import look
from videoworker.effort import Effort
from videoworker.engine.clip import Clip
from videoworker.engine.engine import Engine
from videoworker.models.sketch import SKETCH
from videoworker.planning.plan import plan_clip
from videoworker.request import VideoRequest
from videoworker.settings import settings


@dataclass
class Tally:
    """What is measured of a tier's clips. `right` has an entry for each attribute of each clip."""

    predictions: int = 0
    psnr: list[float] = field(default_factory=list)
    ssim: list[float] = field(default_factory=list)
    right: list[bool] = field(default_factory=list)

    def row(self, tier: Effort, exact: int) -> str:
        """`exact`: how many predictions that tier took."""
        cells = [
            tier,
            f"{self.predictions / len(self.psnr):g}",
            f"{exact / self.predictions:.2f} x",
            f"{np.mean(self.psnr):.1f}, at least {min(self.psnr):.1f}",
            f"{np.mean(self.ssim):.3f}, at least {min(self.ssim):.3f}",
            f"{np.mean(self.right):.1%} of {len(self.right)}",
        ]
        return f"| {' | '.join(cells)} |"


def main(
    count: Annotated[int, typer.Option(help="how many clips")] = 16,
    seed: Annotated[int, typer.Option(help="of the prompts and of the clips")] = 0,
) -> None:
    """Prints a row for each tier that `sketch` has."""
    engine, tallies = Engine(settings()), {tier: Tally() for tier in SKETCH.efforts}
    for number, (asked, prompt) in enumerate(held_out(count, seed)):
        clips = {tier: made(engine, prompt, seed * 1000 + number, tier) for tier in SKETCH.efforts}
        exact, _ = clips["exact"]
        for tier, (frames, predictions) in clips.items():
            tally, seen = tallies[tier], look(frames)
            tally.predictions += predictions
            tally.psnr.append(psnr(frames, exact))
            tally.ssim.append(ssim(frames, exact))
            tally.right += [getattr(seen, name) == wanted for name, wanted in zip(ATTRIBUTES, asked, strict=True)]
        distances = ", ".join(f"{tier} {tally.psnr[-1]:.1f} dB" for tier, tally in tallies.items())
        print(f"{number + 1}/{count} {prompt!r}: {distances}", file=sys.stderr, flush=True)
    print(f"sketch, {count} clips of held-out prompts, {platform.machine()}, torch {torch.__version__}\n")
    print("| effort | predictions | saved | PSNR, dB | SSIM | attributes as asked for |")
    print("|---|---|---|---|---|---|")
    for tier, tally in tallies.items():
        print(tally.row(tier, tallies["exact"].predictions))


def made(engine: Engine, prompt: str, seed: int, effort: Effort) -> tuple[np.ndarray, int]:
    """A clip's frames, and how many predictions the transformer computed for it."""
    plan = plan_clip(VideoRequest("native", prompt, effort=effort), SKETCH)
    watch, computed = unheard(), list[int]()

    def count(module: torch.nn.Module, _: Any, output: Any) -> None:
        if isinstance(module, CogVideoXTransformer3DModel):
            computed.append(len(output[0]))

    hook = register_module_forward_hook(count)
    try:
        prepared = engine.prepare(plan, watch)
        frames = list(engine.frames(prepared, Clip(prompt, "", None, seed), watch))
    finally:
        hook.remove()
    return np.stack(frames), sum(computed)


if __name__ == "__main__":
    typer.run(main)
