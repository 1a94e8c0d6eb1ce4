"""The product's programs in forks of one process that has imported what they import, which takes seconds.

`python -m tests.forks` forks for each line of standard input: a JSON object of an `Order`. It answers with the fork's
exit code. The fork runs a program and ends as every process of Python does.
"""

import gc
import json
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from tests.handler_process import ROOT, environment
from videoworker.models import DECLARED

_FAMILIES = {model.family for variants in DECLARED.values() for model in variants}


@dataclass(frozen=True)
class Order:
    """What a fork runs: the module, its folder, all its variables, its arguments, and the files for what it prints."""

    module: str
    folder: str
    variables: dict[str, str]
    arguments: tuple[str, ...]
    stdout: str
    stderr: str


class Forks:
    """The process that forks."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run_job(self, folder: Path, job_input: Any, **settings: str) -> subprocess.CompletedProcess[str]:
        """As `handler_process.run_job`."""
        return self.run_module("handler", folder, "--test_input", json.dumps({"input": job_input}), **settings)

    def run_command(self, folder: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """The command line `videoworker`."""
        return self.run_module("tests.commands.videoworker", folder, *arguments, **settings)

    def run_module(
        self, module: str, folder: Path, *arguments: str, **settings: str
    ) -> subprocess.CompletedProcess[str]:
        """As `python -m module`, in a folder."""
        with tempfile.TemporaryDirectory() as printed:
            stdout, stderr = Path(printed, "stdout"), Path(printed, "stderr")
            order = Order(module, str(folder), environment(**settings), arguments, str(stdout), str(stderr))
            assert self._process.stdin is not None and self._process.stdout is not None
            print(json.dumps(asdict(order)), file=self._process.stdin, flush=True)
            code = int(self._process.stdout.readline())
            return subprocess.CompletedProcess(arguments, code, stdout.read_text(), stderr.read_text())


@contextmanager
def started() -> Iterator[Forks]:
    command = [sys.executable, "-m", "tests.forks"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, env=environment(), stdin=pipe, stdout=pipe, text=True) as process:
        yield Forks(process)


def main() -> None:
    gc.disable()
    for name in (
        "videoworker.cli",
        "videoworker.worker.serve",
        *(f"videoworker.families.{family}" for family in sorted(_FAMILIES)),
    ):
        import_module(name)
    gc.freeze()
    gc.enable()
    for line in sys.stdin:
        order = Order(**json.loads(line))
        child = os.fork()
        if child == 0:
            break
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)
    else:
        return
    for stream, path in ((1, order.stdout), (2, order.stderr)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), stream)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.chdir(order.folder)
    os.environ.clear()
    os.environ.update(order.variables)
    sys.argv[1:] = order.arguments
    runpy.run_module(order.module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
