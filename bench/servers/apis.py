"""The documented APIs as `videoworker serve --api` gives them, with a worker of this checkout: one command."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

from bench.servers.endpoint import PATIENCE, eventually, guard
from bench.servers.processes import VIDEOWORKER, environment


@dataclass(frozen=True)
class Served:
    """Where callers find the APIs, and the endpoint behind them."""

    url: str
    endpoint: str

    def counted(self) -> dict[str, dict[str, int]]:
        """Jobs by state, and workers."""
        told: dict[str, dict[str, int]] = requests.get(f"{self.endpoint}/health", timeout=PATIENCE).json()
        return told


@contextmanager
def served(folder: Path, *names: str, **settings: str) -> Iterator[Served]:
    """The APIs `names` by `sketch`, in `folder`, once the worker is ready. They end with the block."""
    options = [option for name in names for option in ("--api", name)]
    with guard() as group:
        process = subprocess.Popen(
            [*VIDEOWORKER, "serve", *options, "--port", "0"],
            cwd=folder,
            env=environment(MODEL="sketch", **settings),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            process_group=group,
        )
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        endpoint, url = (
            next(found[0] for line in lines if (found := re.findall(r"serving (\S+) with", line))) for _ in "12"
        )
        running = Served(url, endpoint)

        def is_ready() -> None:
            assert running.counted()["workers"]["ready"]

        eventually(is_ready)
        yield running
    process.wait()
