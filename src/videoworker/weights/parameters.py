"""How many parameters the networks of a checkpoint have, from the headers of its files."""

from functools import lru_cache
from math import prod
from pathlib import Path

from safetensors import safe_open

from videoworker.models.checkpoint import Checkpoint


@lru_cache
def parameters(checkpoint: Checkpoint, folder: Path) -> dict[str, int]:
    """The number of parameters of each component, by its name. The files are read once."""
    return {
        component.name: sum(map(_count, (folder / component.name).glob("*.safetensors")))
        for component in checkpoint.components
    }


def _count(file: Path) -> int:
    with safe_open(file, "numpy") as opened:
        return sum(prod(opened.get_slice(name).get_shape()) for name in opened.keys())  # noqa: SIM118 (not a dict)
