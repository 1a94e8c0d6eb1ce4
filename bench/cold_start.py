"""Seconds from the start of a process to its first denoising step, ours and diffusers': `python -m bench.cold_start`.

The checkpoint is a synthetic one (`bench/synthetic.py`). Ours is the worker's own process with the job of a file; the
baseline imports, then `DiffusionPipeline.from_pretrained(...).to(device)`. Neither computes the step itself
(`bench/first_step.py`). The floor is reading the same bytes once in large blocks, or the worker's imports, whichever
takes longer. Cold: the system has forgotten all files, those of the libraries too, which takes root. Warm: all are in
memory. All ways run in turn.
"""

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Annotated

import torch
import typer

from bench import synthetic
from bench.imports import START
from bench.servers.processes import ROOT, environment

_GIB = 2**30
_DROP_CACHES = Path("/proc/sys/vm/drop_caches")
_JOB = {"prompt": "a red circle", "num_frames": 7, "width": 256, "height": 256, "guidance_scale": 1.0}
_READ = """
import pathlib, sys
block = bytearray(16 << 20)
for file in pathlib.Path(sys.argv[1]).rglob("*.safetensors"):
    with file.open("rb", buffering=0) as opened:
        while opened.readinto(block):
            pass
"""


@dataclass(frozen=True)
class Took:
    """What a process took: seconds, seconds of processors, and bytes at most."""

    seconds: float
    cpu: float
    peak: int


@dataclass(frozen=True)
class Way:
    """A process, by its name. If it runs `to_a_step`, it says itself what it took."""

    name: str
    command: list[str]
    folder: Path
    variables: dict[str, str]
    to_a_step: bool = True

    def run(self) -> Took:
        before = os.times()
        started = time.monotonic()
        ran = subprocess.run(
            self.command,
            cwd=self.folder,
            env=self.variables | {"STARTED": str(started)},
            capture_output=True,
            text=True,
            check=False,
        )
        seconds, after = time.monotonic() - started, os.times()
        if self.to_a_step:
            if ran.returncode or not ran.stdout.strip().endswith("}"):
                raise RuntimeError(f"{self.name}: {ran.stdout}{ran.stderr}")
            return Took(**json.loads(ran.stdout.splitlines()[-1]))
        cpu = after.children_user + after.children_system - before.children_user - before.children_system
        return Took(seconds, cpu, 0)


def main(
    gib: Annotated[float, typer.Option(help="of weights; at least 3")] = 8,
    runs: Annotated[int, typer.Option(help="of each way, cold and warm")] = 3,
    beside: Annotated[Path | None, typer.Option(help="another checkout, whose `make run` is measured too")] = None,
    where: Annotated[
        Path | None, typer.Option(help="folder on the disk to read from; else the one for temporary files")
    ] = None,
) -> None:
    print(f"{os.cpu_count()} cores, {platform.machine()}, torch {torch.__version__}\n", flush=True)
    with tempfile.TemporaryDirectory(dir=where) as temporary:
        folder = Path(temporary)
        size = synthetic.save(folder / "mochi", gib)
        os.sync()
        (folder / "test_input.json").write_text(json.dumps({"input": _JOB}))
        print(f"{size / _GIB:.1f} GiB of weights, {runs} runs, medians\n", flush=True)
        print("| files | way | seconds | of the floor | of the baseline | seconds of cores | peak of the bytes |")
        print("|---|---|---|---|---|---|---|", flush=True)
        of_weights = list(ways(folder))
        for state, prepare in STATES.items():
            took = in_turn(of_weights, runs, prepare, folder)
            floor = max(took["read"].seconds, took["imports"].seconds)
            baseline = took["diffusers"].seconds
            for name, one in took.items():
                cells = [f"{one.seconds:.1f}", f"{one.seconds / floor:.2f}", f"{one.seconds / baseline:.2f}"]
                cells += [f"{one.cpu:.1f}", f"{one.peak / size:.2f}" if one.peak else ""]
                print(f"| {state} | {name} | {' | '.join(cells)} |", flush=True)
    print("\n`make run` to its first step:\n\n| files | checkout | seconds | of the other | seconds of cores |")
    print("|---|---|---|---|---|", flush=True)
    for state, prepare in STATES.items():
        with tempfile.TemporaryDirectory() as temporary:
            checkouts = list(runs_of_make(Path(temporary), beside))
            took = in_turn(checkouts, runs, prepare, ROOT / "weights")
        last = list(took.values())[-1].seconds
        for name, one in took.items():
            print(f"| {state} | {name} | {one.seconds:.1f} | {one.seconds / last:.2f} | {one.cpu:.1f} |", flush=True)


def ways(folder: Path) -> Iterator[Way]:
    """All that read the checkpoint in `folder`. The floor's two come first."""
    here = environment()
    python = sys.executable
    checkpoint = str(folder / "mochi")
    yield Way("read", [python, "-S", "-c", _READ, checkpoint], folder, here, to_a_step=False)
    imports = f"{START}; import os, videoworker.families.mochi; os._exit(0)"
    yield Way("imports", [python, "-c", imports], folder, here, to_a_step=False)
    yield Way("diffusers", [python, "-m", "bench.stock_start", checkpoint], folder, here)
    worker = environment(MODEL="mochi", WEIGHTS_DIR=str(folder), OUTPUT_DIR=str(folder / "outputs"))
    yield Way("worker", [python, str(ROOT / "bench/first_step.py"), str(ROOT / "handler.py")], folder, worker)


def runs_of_make(folder: Path, beside: Path | None) -> Iterator[Way]:
    """`make run` of this checkout, and then of the other one."""
    (folder / "test_input.json").write_text((ROOT / "test_input.json").read_text())
    for checkout in (ROOT, beside):
        if checkout is not None:
            command = [sys.executable, str(ROOT / "bench/first_step.py"), str(checkout / "handler.py")]
            variables = environment() | {"PYTHONPATH": str(checkout / "src")}
            yield Way("this one" if checkout == ROOT else checkout.name, command, folder, variables)


def in_turn(ways: list[Way], runs: int, prepare: Callable[[Path], None], folder: Path) -> dict[str, Took]:
    """The medians of each way, by its name."""
    took: dict[str, list[Took]] = {way.name: [] for way in ways}
    for _ in range(runs):
        for way in ways:
            prepare(folder)
            took[way.name].append(way.run())
    return {
        name: Took(median(one.seconds for one in all_), median(one.cpu for one in all_), max(one.peak for one in all_))
        for name, all_ in took.items()
    }


def forget(folder: Path) -> None:
    """Has the system forget all files, or those in `folder` alone if this process may do no more."""
    if os.access(_DROP_CACHES, os.W_OK):
        _DROP_CACHES.write_text("1")
        return
    for file in folder.rglob("*.safetensors"):
        descriptor = os.open(file, os.O_RDONLY)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def read(folder: Path) -> None:
    subprocess.run([sys.executable, "-S", "-c", _READ, str(folder)], check=True)


STATES = {"cold": forget, "warm": read}


if __name__ == "__main__":
    typer.run(main)
