"""Which files of a network's folder the libraries load.

A repository may have a network several times: in plain names, and in names that are marked with a dtype. diffusers and
transformers load one of these sets, by exact names. So whoever verifies, counts or loads a network asks here.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from videoworker.models.checkpoint import Checkpoint, Component, Role

# What a repository puts into the names of files that hold another dtype than the plain ones.
MARKS = {"bfloat16": "bf16", "float16": "fp16"}

# transformers loads encoders, diffusers all else.
_STEMS = {Role.TEXT_ENCODER: "model", Role.IMAGE_ENCODER: "model"}
_STEM = "diffusion_pytorch_model"


@dataclass(frozen=True)
class WeightFiles:
    """One set of files. `variant` is the mark in their names, as both libraries call it; None: there is none. `index`
    names `files` if there are several; None: there is one. Files that an index names may be missing."""

    variant: str | None
    index: Path | None
    files: tuple[Path, ...]

    @property
    def is_there(self) -> bool:
        """Whether no file is missing."""
        return bool(self.files) and all(file.is_file() for file in self.files)

    @property
    def size(self) -> int:
        """Bytes of those that are there."""
        return sum(file.stat().st_size for file in self.files if file.is_file())


def stem(component: Component) -> str:
    """What the names of a network's files begin with."""
    return _STEMS.get(component.role, _STEM)


def weight_files(folder: Path, component: Component) -> WeightFiles | None:
    """The files of the network in the checkpoint `folder`: the plain ones if none of them is missing, else marked ones
    of which none is. If each set lacks a file, it is the first set. None if there is no set. A network that is one file
    has that alone, there or not."""
    if component.is_file:
        return WeightFiles(None, None, (folder / component.place,))
    found = list(_sets(folder / component.place, component))
    return next((one for one in found if one.is_there), found[0] if found else None)


def variants(checkpoint: Checkpoint, folder: Path) -> dict[str, str | None]:
    """The mark in the names of each network's files, by the network's name."""
    found = {component.name: weight_files(folder, component) for component in checkpoint.components}
    return {name: files.variant if files else None for name, files in found.items()}


def weight_map(index: Path) -> dict[str, str] | None:
    """The file of each tensor, by its name; None if the index has no such map."""
    try:
        content = json.loads(index.read_text())
    except (ValueError, OSError):
        return None
    names = content.get("weight_map") if isinstance(content, dict) else None
    return names if isinstance(names, dict) else None


def _sets(folder: Path, component: Component) -> Iterator[WeightFiles]:
    for variant in (None, *MARKS.values()):
        mark = f".{variant}" if variant else ""
        index = folder / f"{stem(component)}.safetensors.index{mark}.json"
        single = folder / f"{stem(component)}{mark}.safetensors"
        several = WeightFiles(variant, index, _named(index)) if index.is_file() else None
        alone = WeightFiles(variant, None, (single,)) if single.is_file() else None
        # If both are there, diffusers takes the index, and transformers the file.
        yield from filter(None, (several, alone) if stem(component) == _STEM else (alone, several))


def _named(index: Path) -> tuple[Path, ...]:
    return tuple(index.parent / name for name in sorted(set((weight_map(index) or {}).values())))
