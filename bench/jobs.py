"""Seconds that whole jobs take on this machine: `python -m bench.jobs`.

Each job goes the product's whole way to the delivered file; the model is loaded beforehand, as the worker does it.
"""

import platform
import tempfile
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from bench.watches import unheard
from builder.declared import SHIPPED
from videoworker import apis, job
from videoworker.engine.engine import Engine
from videoworker.settings import settings

_PROMPT = "A red circle moves to the right over a blue background"
# What a caller gets by saying nothing but the prompt, and the job of `make run`.
JOBS: dict[str, dict[str, Any]] = {
    "make run (256x256, 25 frames)": {"api": "native", "prompt": _PROMPT},
    "hunyuanvideo default (640x480, 61 frames, 30 steps)": {"api": "hunyuanvideo", "prompt": _PROMPT},
    "hunyuanvideo-1.5 default (1080p, 10 s)": {"api": "hunyuanvideo-1.5", "prompt": _PROMPT},
}


def main(
    model: Annotated[str, typer.Option(help="the model that makes every job's video")] = SHIPPED[0].name,
    api: Annotated[list[str] | None, typer.Option(help="whose job; may be given again. Else all")] = None,
) -> None:
    """Prints a line for each job: seconds in all and by stage."""
    current = settings().model_copy(update={"model": model})
    engine = Engine(current)
    engine.load(engine.survey().variant_for(model), unheard())
    print(f"{model} on {torch.get_num_threads()} threads, {platform.machine()}, torch {torch.__version__}")
    for name, job_input in JOBS.items():
        if api and job_input["api"] not in api:
            continue
        request = apis.APIS[job_input["api"]].parse(job_input)
        with tempfile.TemporaryDirectory() as folder:
            here = current.model_copy(update={"output_dir": Path(folder)})
            watch = unheard()
            result = job.run({"id": "bench"}, request, watch, engine, here)
        stages = ", ".join(f"{stage} {seconds:.1f}" for stage, seconds in result.timings.items() if stage != "total")
        print(f"{name}: {result.timings['total']:.1f} s ({stages}), {result.video.num_frames} frames", flush=True)


if __name__ == "__main__":
    typer.run(main)
