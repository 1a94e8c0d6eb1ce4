"""Prints what a worker imports before its first job, and how long that takes: `python -m bench.imports`. It fails if
something is among it that a worker has no use for.

A worker imports the SDK beside the rest; here one module follows another. Times are in milliseconds: `alone` is a
module's own, `in all` has those of what it imports too.
"""

import re
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

import typer

from bench.servers.processes import environment
from videoworker.models import DECLARED

# What no worker needs, though it may be installed. boto3 is for a worker with a bucket alone.
UNWANTED = ("boto3", "botocore", "fastapi", "gradio", "pandas", "torchvision")
FAMILIES = sorted({model.family for variants in DECLARED.values() for model in variants})

START = (
    "import gc; gc.disable(); import runpod; from videoworker.worker.start import import_libraries; "
    "import_libraries(); import videoworker.worker.serve"
)
_LINE = re.compile(r"import time: *(\d+) \| *(\d+) \| ( *)(\S+)")


@dataclass(frozen=True)
class Import:
    """A module, how deep its import lies in others', and its milliseconds."""

    module: str
    depth: int
    alone: float
    in_all: float


def imports(family: str) -> list[Import]:
    """What a worker imports that has a model of the family."""
    program = f"{START}; import videoworker.families.{family}"
    command = [sys.executable, "-X", "importtime", "-c", program]
    ran = subprocess.run(command, env=environment(), capture_output=True, text=True, check=True)
    return told(ran.stderr)


def told(errors: str) -> list[Import]:
    """What Python's option `-X importtime` says there, each module after what it imports itself."""
    return [
        Import(module, len(indent) // 2, int(alone) / 1000, int(in_all) / 1000)
        for alone, in_all, indent, module in _LINE.findall(errors)
    ]


def unwanted(imported: Iterable[Import], family: str) -> dict[str, int]:
    """How many modules there are of each package that is not wanted, and of each family but this one."""
    others = [f"videoworker.families.{name}" for name in FAMILIES if name != family]
    names = [f"{one.module}." for one in imported]
    return {package: sum(name.startswith(f"{package}.") for name in names) for package in (*UNWANTED, *others)}


def main(
    model: Annotated[str, typer.Option(help=f"one of: {', '.join(DECLARED)}")] = "sketch",
    least: Annotated[float, typer.Option(help="milliseconds in all below which a module is not listed")] = 25,
) -> None:
    if model not in DECLARED:
        raise typer.BadParameter(f"{model!r} is none of {', '.join(DECLARED)}", param_hint="--model")
    family = DECLARED[model][0].family
    found = imports(family)
    print(f"{'alone':>8} {'in all':>8}")
    for one in reversed(found):  # what imports before what is imported
        if one.in_all >= least:
            print(f"{one.alone:8.1f} {one.in_all:8.1f}  {'  ' * one.depth}{one.module}")
    print(f"{sum(one.alone for one in found):8.1f} ms, {len(found)} modules")
    counts = unwanted(found, family)
    print("of what no worker needs: " + ", ".join(f"{name} {count}" for name, count in counts.items()))
    if any(counts.values()):
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
