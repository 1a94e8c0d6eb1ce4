"""Where a training stage stands on disk, so that it can be stopped at any moment and go on."""

from pathlib import Path
from typing import Any

import torch


class Checkpoint:
    """The named parts (anything with `state_dict`) of one stage and the number of steps done."""

    def __init__(self, path: Path, **parts: Any) -> None:
        self._path, self._parts = path, parts

    def restore(self) -> int:
        """Loads the parts in place; returns the steps done, 0 where nothing was saved."""
        if not self._path.exists():
            return 0
        saved = torch.load(self._path, map_location="cpu", weights_only=True)
        for name, part in self._parts.items():
            part.load_state_dict(saved[name])
        return int(saved["step"])

    def save(self, step: int) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        partial = self._path.with_suffix(".partial")
        torch.save({"step": step} | {name: part.state_dict() for name, part in self._parts.items()}, partial)
        partial.replace(self._path)
