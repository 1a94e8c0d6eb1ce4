"""The command line in a process of its own."""

import subprocess
import sys
from pathlib import Path

from tests.handler_process import environment

# What the installed script `videoworker` does.
VIDEOWORKER = [sys.executable, "-c", "from videoworker.cli import main; main()"]


def run(*arguments: str, cwd: Path | None = None, **settings: str) -> subprocess.CompletedProcess[str]:
    command = [*VIDEOWORKER, *arguments]
    return subprocess.run(
        command, env=environment(**settings), cwd=cwd, capture_output=True, text=True, timeout=300, check=False
    )
