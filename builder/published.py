"""Small checkpoints in the form of the published repositories: each network's files have their names, parts and dtypes.

What is known of these stands with each model, in its `Component.published`.
"""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from builder import tiny
from builder.published_names import names
from videoworker.models.video_model import VideoModel
from videoworker.weights.files import stem


def save(model: VideoModel, folder: Path) -> None:
    """Saves the small checkpoint that stands for the variant, with all sets of its files."""
    tiny.save(model, folder)
    for component in model.checkpoint.components:
        whole = folder / component.name / f"{stem(component)}.safetensors"
        tensors = load_file(whole)
        whole.unlink()
        for files in component.published:
            dtype = getattr(torch, files.dtype)
            cast = {name: one.to(dtype) if one.is_floating_point() else one for name, one in tensors.items()}
            _write(folder / component.name, names(component, files), cast)


def _write(folder: Path, files: list[str], tensors: dict[str, torch.Tensor]) -> None:
    if len(files) == 1:
        save_file(tensors, folder / files[0], {"format": "pt"})
        return
    *parts, index = files
    weight_map = {name: parts[number % len(parts)] for number, name in enumerate(tensors)}
    for part in parts:
        save_file(
            {name: tensors[name] for name, at in weight_map.items() if at == part}, folder / part, {"format": "pt"}
        )
    (folder / index).write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
