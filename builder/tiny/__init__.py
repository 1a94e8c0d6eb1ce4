"""Random small checkpoints in the layout of the real ones: one file for each family, called as the family.

Each file has these:

- `VARIANTS`: the names of its small checkpoints. One is called as the variant that it stands for, or as the model.
- `save(folder, variant)`: writes one.
- `PUBLISHED`: by variant and network, what the published configuration says otherwise than diffusers' class does by
  default. A variant or network that is not named says nothing else.
- `longest_prompt()`: the published networks' conditioning of the longest prompt.
"""

from importlib import import_module
from pathlib import Path
from typing import Any

from videoworker.models import VARIANTS
from videoworker.models.video_model import VideoModel


def of_family(family: str) -> Any:
    """The family's file."""
    return import_module(f"{__name__}.{family}")


def save(model: VideoModel, folder: Path) -> None:
    """Saves a small checkpoint that stands for the variant. Raises `LookupError` if its family has none for it."""
    of_family(model.family).save(folder, _name(model))


def _name(model: VideoModel) -> str:
    """The variant's own small checkpoint if there is one. Else one with the same pipeline, of a variant declared
    before it."""
    for variant in (model, *_relatives(model)):
        for name in (variant.variant, variant.name):
            if name in of_family(model.family).VARIANTS:
                return name
    raise LookupError(f"builder/tiny/{model.family}.py has no small {model.checkpoint.pipeline}")


def _relatives(model: VideoModel) -> list[VideoModel]:
    every = [variant for variants in VARIANTS.values() for variant in variants]
    return [one for one in every if one.family == model.family and one.checkpoint.pipeline == model.checkpoint.pipeline]
