"""What the product adds to the work itself: `python -m bench.overhead`.

The same `sketch` clip is made in turn by a bare script (`bench/bare_job.py`), and by the worker that the SDK runs
behind an endpoint on this machine, from `/runsync` to its answer. Both have loaded the weights, and have made one clip
before. Seconds of a clock are those that a caller waits. Seconds of processors are those of the script, and of worker
and endpoint together; on a machine with other work they are what can be compared.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Annotated

import psutil
import torch
import typer

from bench.bare_job import PROMPT
from bench.servers.endpoint import EndpointProcess
from bench.servers.processes import ROOT, environment

_ALLOWED_SHARE, _ALLOWED_SECONDS = 0.03, 0.03


@dataclass(frozen=True)
class Took:
    seconds: float
    cpu: float
    waited: float = 0.0
    """Of the seconds, those before a worker took the job: the SDK asks for one once a second."""


def main(
    runs: Annotated[int, typer.Option(help="of each way")] = 5,
    steps: Annotated[int, typer.Option(help="of each clip")] = 20,
) -> None:
    """Prints the medians of both ways, and what the product adds."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        script = stack.enter_context(
            subprocess.Popen(
                [sys.executable, "-m", "bench.bare_job", str(folder)],
                cwd=ROOT,
                env=environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        )
        endpoint = stack.enter_context(EndpointProcess(folder))
        worker = stack.enter_context(
            endpoint.worker("bench", str(ROOT / "handler.py"), OUTPUT_DIR=str(folder), MODEL="sketch")
        )
        assert endpoint.process is not None
        processes = [psutil.Process(worker.pid), psutil.Process(endpoint.process.pid)]
        ways: dict[str, Callable[[], Took]] = {
            "the script": lambda: bare(script, steps),
            "endpoint and worker": lambda: served(endpoint, processes, steps),
        }
        took: dict[str, list[Took]] = {name: [] for name in ways}
        for number in range(runs + 1):
            for name, make in ways.items():
                one = make()
                if number:  # the first one warms up
                    took[name].append(one)
        assert script.stdin is not None
        script.stdin.close()
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}, {runs} runs, {steps} steps, medians\n")
    print("| way | seconds | of these until it is taken | seconds of processors | at least |\n|---|---|---|---|---|")
    for name, all_ in took.items():
        cpu = [one.cpu for one in all_]
        cells = [median(one.seconds for one in all_), median(one.waited for one in all_), median(cpu), min(cpu)]
        print(f"| {name} | {' | '.join(f'{cell:.2f}' for cell in cells)} |")
    script_cpu, product_cpu = (median(one.cpu for one in all_) for all_ in took.values())
    print(
        f"\nThe product adds {product_cpu - script_cpu:.2f} s of processors, {product_cpu / script_cpu - 1:.1%}; "
        f"allowed: {_ALLOWED_SHARE * script_cpu + _ALLOWED_SECONDS:.2f} s"
    )


def bare(script: subprocess.Popen[str], steps: int) -> Took:
    assert script.stdin is not None and script.stdout is not None
    started = time.monotonic()
    print(steps, file=script.stdin, flush=True)
    cpu = next(line for line in script.stdout if line.startswith("took "))
    return Took(time.monotonic() - started, float(cpu.removeprefix("took ")))


def served(endpoint: EndpointProcess, processes: list[psutil.Process], steps: int) -> Took:
    before, started = cpu_of(processes), time.monotonic()
    job_input = {"prompt": PROMPT, "num_inference_steps": steps, "seed": 1}
    answer = endpoint.post("runsync?wait=300000", {"input": job_input}).json()
    seconds = time.monotonic() - started
    assert answer["status"] == "COMPLETED", answer
    return Took(seconds, cpu_of(processes) - before, answer["delayTime"] / 1000)


def cpu_of(processes: list[psutil.Process]) -> float:
    every = [one for process in processes for one in (process, *process.children(recursive=True))]
    return sum(sum(one.cpu_times()[:4]) for one in every)


if __name__ == "__main__":
    typer.run(main)
