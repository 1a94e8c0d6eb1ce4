"""Weight files rewritten as safetensors: from torch's pickles, or from float32 to a narrower dtype."""

import json
import re
import shutil
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import save_torch_state_dict
from safetensors import safe_open
from safetensors.torch import save_file

from videoworker.errors import Code, JobError

_LARGEST_FILE = "100TB"  # each file becomes one file


def convert(file: Path) -> list[Path]:
    """Writes the tensors of a torch file beside it as safetensors, under the name that diffusers and transformers load.

    If `file` is an index, all its files are converted. Of tensors that share memory one is kept. The file's metadata
    says for which others it stands. Raises `JobError` if the file holds anything but tensors.
    """
    if not file.is_file():
        raise JobError(Code.INVALID_FIELD, f"{file} is not a file.")
    if file.name.endswith(".index.json"):
        return _convert_shards(file)
    return [_convert_one(file)]


def narrow(source: Path, target: Path, dtype: str, float32_parts: Sequence[str] = ()) -> None:
    """Writes the safetensors file `source` to `target` with its float32 tensors in torch's `dtype`, but not those with
    one of `float32_parts` in their names.

    Memory holds the result, and of the source one tensor at a time.
    """
    with safe_open(source, "pt") as opened:
        tensors = {}
        for name in opened.keys():  # noqa: SIM118 (not a dict)
            tensor = opened.get_tensor(name)
            is_cast = tensor.dtype == torch.float32 and not any(part in name for part in float32_parts)
            tensors[name] = tensor.to(getattr(torch, dtype)) if is_cast else tensor
        save_file(tensors, target, opened.metadata())
    shutil.copymode(source, target)  # the library's files may be read by their owner alone


def _convert_shards(index: Path) -> list[Path]:
    weight_map: dict[str, str] = json.loads(index.read_text())["weight_map"]
    shards = {name: _convert_one(index.parent / name) for name in sorted(set(weight_map.values()))}
    kept = {path: _names(path) for path in shards.values()}
    converted = {name: shards[at].name for name, at in weight_map.items() if name in kept[shards[at]]}
    size = sum(path.stat().st_size for path in kept)
    written = index.with_name(_safe_name(index.name.removesuffix(".index.json")) + ".index.json")
    written.write_text(json.dumps({"metadata": {"total_size": size}, "weight_map": converted}, indent=2))
    return [*kept, written]


def _convert_one(file: Path) -> Path:
    target = file.with_name(_safe_name(file.name))
    if target.exists():
        raise JobError(Code.INVALID_FIELD, f"{target} is there already; remove it to convert {file.name} again.")
    state = {name: alone(tensor) for name, tensor in read_tensors(file).items()}
    pattern = target.stem + "{suffix}.safetensors"
    save_torch_state_dict(state, target.parent, filename_pattern=pattern, max_shard_size=_LARGEST_FILE)
    shutil.copymode(file, target)
    return target


def read_tensors(file: Path) -> dict[str, torch.Tensor]:
    """The tensors of a torch file by name, mapped into memory if its format allows it. Raises `JobError` if the file
    holds anything but tensors."""
    try:
        # torch's format since 1.6, a zip archive, is the only one that can be mapped into memory
        state: Any = torch.load(file, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(file))
    except Exception as error:  # torch raises all kinds of errors for damaged and foreign files
        message = f"{file} is refused: it is no whole torch file of tensors alone ({type(error).__name__})."
        raise JobError(Code.INVALID_FIELD, message) from error
    if isinstance(state, dict):
        state = state.get("state_dict", state)
    if not isinstance(state, dict) or not all(isinstance(tensor, torch.Tensor) for tensor in state.values()):
        raise JobError(Code.INVALID_FIELD, f"{file} is refused: it holds other things than tensors by name.")
    return state


def alone(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor; a copy if it does not fill its memory or is not contiguous, which safetensors does not store."""
    whole = tensor.is_contiguous() and tensor.nbytes == tensor.untyped_storage().nbytes()
    return tensor if whole else tensor.clone(memory_format=torch.contiguous_format)


def _names(file: Path) -> set[str]:
    with safe_open(file, "pt") as opened:
        return set(opened.keys())


def _safe_name(name: str) -> str:
    """`pytorch_model-00001-of-00002.bin` becomes `model-00001-of-00002.safetensors`, as transformers calls it."""
    stem = name.rpartition(".")[0]
    return re.sub(r"^pytorch_model", "model", stem) + ".safetensors"
