"""Whether a checkpoint on disk is whole, and is the one that it should be, before a network is made from it.

Only headers are read, so this takes milliseconds. The header of a safetensors file says how long the file must be.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from videoworker.errors import Code, JobError
from videoworker.models.checkpoint import Checkpoint

# Formats that can hold code. They are converted, never loaded.
UNSAFE_SUFFIXES = (".bin", ".pth", ".pt", ".ckpt")


def verify(checkpoint: Checkpoint, folder: Path) -> None:
    """Raises `JobError` MODEL_NOT_LOADED that says which file is wrong, relative to `folder`, and why."""
    problems = "; ".join(_problems(checkpoint, folder))
    if problems:
        title, fetch = checkpoint.title, checkpoint.how_to_fetch
        message = f"The weights of {title} are not whole: {problems}. To fetch them again: {fetch}"
        raise JobError(Code.MODEL_NOT_LOADED, message)


def components_of(index: dict[str, Any]) -> list[str]:
    """The folders that a `model_index.json` names. An entry that is no [library, class] is an option, or absent."""
    return [name for name, value in index.items() if isinstance(value, list) and value[0] is not None]


def _problems(checkpoint: Checkpoint, folder: Path) -> Iterator[str]:
    index = _read_json(folder / "model_index.json")
    if index is None:
        yield "model_index.json is not a JSON object"
        return
    if index.get("_class_name") != checkpoint.pipeline:
        yield f"model_index.json is of {index.get('_class_name')}, not {checkpoint.pipeline}"
        return
    networks = [component.name for component in checkpoint.components]
    absent = [name for name in networks if not _has_weights(folder / name)]
    unsafe = [file for name in absent for file in _unsafe(folder / name)]
    for file in unsafe:
        path = file.relative_to(folder).as_posix()
        yield f"{path} is refused, only safetensors is read; in the weights' folder: videoworker convert {path}"
    absent = [name for name in absent if not any(file.parent.name == name for file in unsafe)]
    if absent:
        yield f"no safetensors file in {', '.join(absent)}"
    for name in dict.fromkeys([*components_of(index), *networks]):
        if name not in absent and not list((folder / name).glob("*.*")):
            yield f"no file in {name}"
    for name in networks:
        yield from _component_problems(folder, folder / name)


def _component_problems(folder: Path, component: Path) -> Iterator[str]:
    tensors = dict[str, set[str]]()
    for file in sorted(component.glob("*.safetensors")):
        try:
            with safe_open(file, "numpy") as opened:  # checks the header, and that the file is as long as it says
                tensors[file.name] = set(opened.keys())
        except SafetensorError as error:
            reason = str(error).removeprefix("Error while deserializing header: ")
            path = file.relative_to(folder).as_posix()
            yield f"{path} is cut short or no safetensors file ({file.stat().st_size} bytes: {reason})"
            tensors[file.name] = set()
    for file in sorted(component.glob("*.safetensors.index*.json")):
        weight_map = (_read_json(file) or {}).get("weight_map")
        if not isinstance(weight_map, dict):
            yield f"{file.relative_to(folder).as_posix()} has no weight_map"
            continue
        for shard in sorted(set(weight_map.values())):
            path = (component / shard).relative_to(folder).as_posix()
            if shard not in tensors:
                yield f"{path} is missing"
            elif tensors[shard]:
                lost = sorted(name for name, at in weight_map.items() if at == shard and name not in tensors[shard])
                if lost:
                    yield f"{path} is of another checkpoint: it lacks {lost[0]}, which {file.name} says it has"


def _has_weights(component: Path) -> bool:
    return any(True for _ in component.glob("*.safetensors*"))


def _unsafe(component: Path) -> list[Path]:
    """What `videoworker convert` takes: the file, or their index if there are several."""
    files = sorted(file for file in component.glob("*") if file.suffix in UNSAFE_SUFFIXES)
    indexes = sorted(component.glob("*.bin.index.json"))
    return indexes or files


def _read_json(file: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(file.read_text())
    except (ValueError, OSError):
        return None
    return content if isinstance(content, dict) else None
