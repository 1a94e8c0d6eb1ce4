"""What is known of the published repositories' weight files, and small checkpoints in that form.

Hugging Face was not asked. The names stand publicly in lists of hashes that others have read there, which
docs/published-files.md names. dtypes follow from the number of parameters and the bytes of the files.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from builder import tiny
from videoworker.models.checkpoint import Component
from videoworker.models.video_model import VideoModel
from videoworker.weights.files import MARKS, stem


@dataclass(frozen=True)
class Files:
    """One set of a network's files: the dtype of its tensors, and in how many parts it lies. `is_marked`: the dtype
    stands in the names."""

    dtype: str
    parts: int = 1
    is_marked: bool = False


_T5_IN_FLOAT32: tuple[Files, ...] = (Files("float32", 4),)
_COGVIDEOX_5B: dict[str, tuple[Files, ...]] = {
    "text_encoder": (Files("bfloat16", 2),),
    "transformer": (Files("bfloat16", 2),),
    "vae": (Files("bfloat16"),),
}

# By repository and network.
PUBLISHED: dict[str, dict[str, tuple[Files, ...]]] = {
    "hunyuanvideo-community/HunyuanVideo-1.5-Diffusers-720p_t2v": {
        "text_encoder": (Files("bfloat16", 3),),
        "text_encoder_2": (Files("float32"),),
        "transformer": (Files("float32", 7),),
        "vae": (Files("float32", 2),),
    },
    "hunyuanvideo-community/HunyuanVideo": {
        "text_encoder": (Files("float16", 4),),
        "text_encoder_2": (Files("float16"),),
        "transformer": (Files("bfloat16", 6),),
        "vae": (Files("float32"),),
    },
    "genmo/mochi-1-preview": {
        "text_encoder": _T5_IN_FLOAT32,
        "transformer": (Files("float32", 5), Files("bfloat16", 3, is_marked=True)),
        "vae": (Files("float32"), Files("bfloat16", is_marked=True)),
    },
    "Lightricks/LTX-Video": {
        "text_encoder": _T5_IN_FLOAT32,
        "transformer": (Files("float32", 2),),
        "vae": (Files("float32"),),
    },
    "zai-org/CogVideoX-2b": {
        "text_encoder": (Files("float16", 2),),
        "transformer": (Files("float16"),),
        "vae": (Files("float16"),),
    },
    "zai-org/CogVideoX-5b": _COGVIDEOX_5B,
}


def names(component: Component, files: Files) -> list[str]:
    """The names of the files; the index comes last, if they have one."""
    mark = f".{MARKS[files.dtype]}" if files.is_marked else ""
    if files.parts == 1:
        return [f"{stem(component)}{mark}.safetensors"]
    parts = [f"{number:05}-of-{files.parts:05}" for number in range(1, files.parts + 1)]
    index = f"{stem(component)}.safetensors.index{mark}.json"
    return [*(f"{stem(component)}{mark}-{part}.safetensors" for part in parts), index]


def save(model: VideoModel, folder: Path) -> None:
    """Saves a small checkpoint whose files are called as the published ones, and have their dtypes."""
    tiny.save(model, folder)
    for component in model.checkpoint.components:
        whole = folder / component.name / f"{stem(component)}.safetensors"
        tensors = load_file(whole)
        whole.unlink()
        for files in PUBLISHED[model.checkpoint.repository][component.name]:
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
