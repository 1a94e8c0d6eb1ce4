"""Small checkpoints in the form of the published repositories: each network's files have their names, parts and dtypes.

What is known of these stands with each model, in its `Component.published`.
"""

import json
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from builder import tiny
from builder.published_names import names
from videoworker.models.video_model import VideoModel
from videoworker.weights.files import stem


def save(model: VideoModel, folder: Path) -> None:
    """Saves the small checkpoint that stands for the variant, with all sets of its files."""
    tiny.save(model, folder)
    for component in model.checkpoint.components:
        place = folder if component.is_file else folder / component.place
        whole = folder / component.path if component.is_file else place / f"{stem(component)}.safetensors"
        with safe_open(whole, "pt") as opened:
            metadata = opened.metadata()
        tensors = load_file(whole)
        whole.unlink()
        for files in component.published:
            dtype = getattr(torch, files.dtype)
            cast = {name: one.to(dtype) if one.is_floating_point() else one for name, one in tensors.items()}
            _write(place, names(component, files), cast, metadata)


def _write(folder: Path, files: list[str], tensors: dict[str, torch.Tensor], metadata: dict[str, str]) -> None:
    if len(files) == 1:
        save_file(tensors, folder / files[0], metadata)
        return
    *parts, index = files
    weight_map = {name: parts[number % len(parts)] for number, name in enumerate(tensors)}
    for part in parts:
        save_file({name: tensors[name] for name, at in weight_map.items() if at == part}, folder / part, metadata)
    (folder / index).write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
