"""The command line in a process of its own."""

import subprocess

from bench.servers.processes import VIDEOWORKER, environment


def run(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    command = [*VIDEOWORKER, *arguments]
    return subprocess.run(
        command, env=environment(**settings), capture_output=True, text=True, timeout=300, check=False
    )
