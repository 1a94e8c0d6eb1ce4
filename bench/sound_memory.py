"""Memory of whole jobs with sound, by the sound's length: `python -m bench.sound_memory`.

Networks are this project's small checkpoints, so that what grows with a job's length is not hidden behind weights and
activations. Each job runs in a process of its own, from the request to the delivered file. Its memory is the most that
the process held at any time, less what it held after a short job of the same kind. The sound's is the most from the
last frame on, less what the process held then.
"""

import platform
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any
from unittest.mock import patch

import torch
import typer

from bench.decode import alone, keep_no_freed_blocks, of_this_process
from bench.watches import unheard
from builder import tiny
from builder.declared import SHIPPED
from builder.tiny import foley
from videoworker import job
from videoworker.engine.engine import Engine
from videoworker.engine.sounds import Sounds
from videoworker.models.foley import FOLEY_XL
from videoworker.request import AudioRequest, VideoRequest
from videoworker.settings import Settings

SECONDS = (0.5, 5, 12, 30)

_MIB = 2**20
_MODEL = SHIPPED[0]
_SHORTEST = 0.5
_SOUND = AudioRequest(prompt="a bell", num_inference_steps=2)


def main(
    seconds: Annotated[list[float] | None, typer.Option(help="may be given again; else 0.5, 5, 12 and 30")] = None,
) -> None:
    """Prints a row for each length, as they are measured."""
    print(f"float32 on {torch.get_num_threads()} threads, {platform.machine()}, torch {torch.__version__}\n")
    print("| sound, s | frames | job, MiB | its sound, MiB |")
    print("|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        alone(_save, Path(folder))
        for length in seconds or SECONDS:
            taken: Taken = alone(measure, Path(folder), length)
            print(f"| {length:g} | {_frames(length)} | {taken.job / _MIB:.0f} | {taken.sound / _MIB:.0f} |", flush=True)


@dataclass
class Taken:
    """Bytes that a job takes at its worst moment, and at that of its sound."""

    job: int = 0
    sound: int = 0


def measure(folder: Path, seconds: float) -> Taken:
    """What a job of so many seconds takes. `folder` has the weights."""
    keep_no_freed_blocks()
    settings = Settings(weights_dir=folder, output_dir=folder / "made")
    engine, make = Engine(settings), Sounds.make
    _run(engine, settings, _SHORTEST)  # what is there once for every job is there before the measured one
    taken, before = Taken(), _peak_from_here()
    held = before

    def made(*arguments: Any) -> Any:
        nonlocal held
        taken.job, held = of_this_process("VmHWM") - before, _peak_from_here()
        return make(*arguments)

    with patch.object(Sounds, "make", made):
        _run(engine, settings, seconds)
    last = of_this_process("VmHWM")
    return Taken(max(taken.job, last - before), last - held)


def _peak_from_here() -> int:
    """Counts the peak anew. Returns what the process holds now."""
    Path("/proc/self/clear_refs").write_text("5")
    return of_this_process("VmHWM")


def _save(folder: Path) -> None:
    tiny.save(_MODEL, folder / _MODEL.checkpoint.folder)
    foley.save(folder / FOLEY_XL.checkpoint.folder, FOLEY_XL.variant)


def _frames(seconds: float) -> int:
    return round(seconds * _MODEL.fps)


def _run(engine: Engine, settings: Settings, seconds: float) -> None:
    request = VideoRequest(
        api="native",
        prompt="a red circle",
        model=_MODEL.name,
        num_frames=_frames(seconds),
        num_inference_steps=1,
        seed=1,
        audio=_SOUND,
    )
    job.run({"id": "bench"}, request, unheard(), engine, settings)


if __name__ == "__main__":
    typer.run(main)
