"""How near estimates come to what jobs take: `python -m bench.estimate`.

Ten varied jobs of `sketch` go the product's whole way to the delivered file, in an engine that knows nothing. Then come
others, each with what is expected of it beforehand. Half of them are made after a restart, by an engine that knows what
is kept. The model is loaded beforehand, as the worker does it. `--cpu` counts the seconds of processors in place of a
clock's, since those of a machine with other work tell of that work.
"""

import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import torch
import typer

from bench.watches import unheard
from videoworker import job
from videoworker.engine.engine import Engine
from videoworker.models.sketch import SKETCH
from videoworker.planning.plan import make_plan
from videoworker.request import VideoRequest
from videoworker.settings import Settings, settings
from videoworker.watch import Watch

_SIDES = (192, 224, 256, 288)


def main(
    learnt: Annotated[int, typer.Option(help="jobs to learn from")] = 10,
    estimated: Annotated[int, typer.Option(help="jobs to estimate")] = 10,
    seed: Annotated[int, typer.Option(help="draws the jobs")] = 0,
    cpu: Annotated[bool, typer.Option("--cpu", help="seconds of processors")] = False,
) -> None:
    """Prints what each job took, from its plan to its file, beside what was expected, and how far that was off."""
    drawn = requests(random.Random(seed))
    errors = list[float]()
    clock = time.process_time if cpu else time.monotonic
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder, "weights")
        weights.mkdir()
        (weights / SKETCH.checkpoint.folder).symlink_to(settings().weights_dir / SKETCH.checkpoint.folder)
        current = settings().model_copy(update={"weights_dir": weights, "output_dir": Path(folder, "made")})
        engine = started(current)
        seconds = "seconds of processors" if cpu else "seconds"
        print(f"sketch on {torch.get_num_threads()} threads, torch {torch.__version__}, seed {seed}, {seconds}\n")
        print("| job | expected | measured | off |\n|---|---|---|---|")
        for number in range(learnt + estimated):
            if number == learnt + estimated // 2:
                engine = started(current)
                print("| a restart | | | |")
            request = next(drawn)
            expected, took = made(engine, request, current, unheard(clock))
            clip = f"{request.width}x{request.height}, {request.num_frames} frames, {request.num_inference_steps} steps"
            off = "" if expected is None else f"{expected / took - 1:+.0%}"
            told = "" if expected is None else f"{expected:.2f} s"
            print(f"| {clip} | {told} | {took:.2f} s | {off} |", flush=True)
            if number >= learnt:
                assert expected is not None, "nothing was learnt"
                errors.append(abs(expected / took - 1))
    print(f"\noff by {median(errors):.0%} at the median, {max(errors):.0%} at worst")


def started(current: Settings) -> Engine:
    engine = Engine(current)
    engine.load(SKETCH, unheard())
    return engine


def made(engine: Engine, request: VideoRequest, current: Settings, watch: Watch) -> tuple[float | None, float]:
    """What is expected of a job in all, None if that is not known, and what it takes."""
    plan = make_plan(request, engine.survey(), SKETCH.name)
    expected = engine.expected(engine.work(engine.prepare(plan, unheard()), request.container))
    timings = job.run({"id": "bench"}, request, watch, engine, current).timings
    return None if expected is None else sum(expected.values()), timings["total"]


def requests(drawn: random.Random) -> Iterator[VideoRequest]:
    """Of all sizes, lengths and steps, at the model's own size and scaled up."""
    while True:
        scale = drawn.choice((1, 1, 2))
        asked: dict[str, Any] = {
            "width": scale * drawn.choice(_SIDES),
            "height": scale * drawn.choice(_SIDES),
            "num_frames": drawn.choice((25, 25, 25, 45)),
            "num_inference_steps": drawn.choice((4, 8, 12, 20)),
            "guidance_scale": drawn.choice((1.0, 2.0)),
        }
        yield VideoRequest(api="native", prompt="A red circle moves to the right over a blue background", **asked)


if __name__ == "__main__":
    typer.run(main)
