"""The product's commands as processes of this checkout."""

import os
import sys
from pathlib import Path

from videoworker.settings import Settings

ROOT = Path(__file__).resolve().parents[2]

# What the installed script `videoworker` does.
VIDEOWORKER = [sys.executable, "-c", "from videoworker.cli import main; main()"]


def environment(**settings: str) -> dict[str, str]:
    """This process's, with nothing of the worker configured but `settings`. Timings are not kept, so that no run has
    to do with another, and none writes beside the repository's weights."""
    clean = {name: value for name, value in os.environ.items() if name.lower() not in Settings.model_fields}
    return clean | {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}", "KEEP_TIMINGS": "false"} | settings
