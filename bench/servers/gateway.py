"""The gateway as a process of its own."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.servers.endpoint import guard
from bench.servers.processes import VIDEOWORKER, environment

API = "hunyuanvideo"


@dataclass(frozen=True)
class GatewayProcess:
    """`folder` has its database and its videos."""

    url: str
    process: psutil.Process
    folder: Path

    @property
    def cpu_seconds(self) -> float:
        """Of all its threads, since its start."""
        times = self.process.cpu_times()
        return times.user + times.system


@contextmanager
def gateway(folder: Path, endpoint_url: str, **settings: str) -> Iterator[GatewayProcess]:
    """Serves the API `hunyuanvideo` over an endpoint. It is killed with the block."""
    given = {"PORT": "0", "ENDPOINT_URL": endpoint_url, "OMP_NUM_THREADS": "1"} | settings
    with guard() as group:
        process = subprocess.Popen(
            [*VIDEOWORKER, "gateway", "--api", API],
            cwd=folder,
            env=environment(**given),
            stdout=subprocess.PIPE,
            text=True,
            process_group=group,
        )
        assert process.stdout is not None
        (url,) = re.findall(r"serving (\S+)", process.stdout.readline())
        yield GatewayProcess(url, psutil.Process(process.pid), folder)
    process.communicate()
