"""How many bytes the networks of a checkpoint have in memory, from the headers of their files."""

from collections.abc import Mapping
from functools import lru_cache
from math import prod
from pathlib import Path

from safetensors import safe_open

from videoworker.models.checkpoint import Checkpoint, Component
from videoworker.weights.files import weight_files

_FLOAT32_BYTES = 4
_DTYPES = {"F32": "float32", "BF16": "bfloat16", "F16": "float16"}  # as safetensors calls them


def network_bytes(checkpoint: Checkpoint, folder: Path, item_bytes: Mapping[str, int]) -> dict[str, int]:
    """The bytes of each network, by its name. `item_bytes`: of a parameter in the dtype that the network has. What it
    keeps in float32 has more."""
    counts = _parameters(checkpoint, folder)
    return {
        name: cast * item_bytes[name] + kept * max(item_bytes[name], _FLOAT32_BYTES)
        for name, (cast, kept) in counts.items()
    }


def stored_dtype(folder: Path, component: Component) -> str:
    """The dtype that the network's files have here: that of the first tensor that may be cast. As declared if there is
    none."""
    found = weight_files(folder, component)
    for file in found.files if found else ():
        with safe_open(file, "numpy") as opened:
            for name in opened.keys():  # noqa: SIM118 (not a dict)
                dtype = _DTYPES.get(opened.get_slice(name).get_dtype())
                if dtype and name.startswith(component.loaded) and not component.keeps_float32(name):
                    return dtype
    return component.stored


@lru_cache
def _parameters(checkpoint: Checkpoint, folder: Path) -> dict[str, tuple[int, int]]:
    """The number of parameters of each network, by its name: those that are cast, and those that stay in float32. The
    files are read once."""
    return {component.name: _count(folder, component) for component in checkpoint.components}


def _count(folder: Path, component: Component) -> tuple[int, int]:
    cast = kept = 0
    found = weight_files(folder, component)
    for file in found.files if found else ():
        with safe_open(file, "numpy") as opened:
            for name in opened.keys():  # noqa: SIM118 (not a dict)
                if not name.startswith(component.loaded):
                    continue
                count = prod(opened.get_slice(name).get_shape())
                if component.keeps_float32(name):
                    kept += count
                else:
                    cast += count
    return cast, kept
