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
from videoworker.weights.files import WeightFiles, stem, weight_files, weight_map

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
    named = list[str]()
    if checkpoint.pipeline:
        index = _read_json(folder / "model_index.json")
        if index is None:
            yield "model_index.json is not a JSON object"
            return
        if index.get("_class_name") != checkpoint.pipeline:
            yield f"model_index.json is of {index.get('_class_name')}, not {checkpoint.pipeline}"
            return
        named = components_of(index)
    names = [component.place for component in checkpoint.components if not component.is_file]
    found = {component: weight_files(folder, component) for component in checkpoint.components}
    absent = [component for component, files in found.items() if files is None]
    unsafe = [file for component in absent for file in _unsafe(folder / component.place)]
    for file in unsafe:
        path = file.relative_to(folder).as_posix()
        yield f"{path} is refused, only safetensors is read; in the weights' folder: videoworker convert {path}"
    absent = [component for component in absent if not any(file.parent == folder / component.place for file in unsafe)]
    misnamed = [component for component in absent if any((folder / component.place).glob("*.safetensors"))]
    for component in misnamed:
        yield f"no {stem(component)}.safetensors in {component.place}, and no index of its parts"
    if nothing := [component.place for component in absent if component not in misnamed]:
        yield f"no safetensors file in {', '.join(nothing)}"
    for name in dict.fromkeys([*named, *names]):
        if name not in {component.place for component in absent} and not list((folder / name).glob("*.*")):
            yield f"no file in {name}"
    for files in found.values():
        if files is not None:
            yield from _network_problems(folder, files)


def _network_problems(folder: Path, files: WeightFiles) -> Iterator[str]:
    tensors = dict[str, set[str]]()
    for file in files.files:
        path = file.relative_to(folder).as_posix()
        if not file.is_file():
            yield f"{path} is missing"
            continue
        try:
            with safe_open(file, "numpy") as opened:  # checks the header, and that the file is as long as it says
                tensors[file.name] = set(opened.keys())
        except SafetensorError as error:
            reason = str(error).removeprefix("Error while deserializing header: ")
            yield f"{path} is cut short or no safetensors file ({file.stat().st_size} bytes: {reason})"
    if files.index is None:
        return
    named = weight_map(files.index)
    if named is None:
        yield f"{files.index.relative_to(folder).as_posix()} has no weight_map"
        return
    for file in files.files:
        lost = sorted(name for name, at in named.items() if at == file.name and name not in tensors.get(at, named))
        if lost:
            path = file.relative_to(folder).as_posix()
            yield f"{path} is of another checkpoint: it lacks {lost[0]}, which {files.index.name} says it has"


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
