"""The arguments MODEL and --variant of a command: which variant they mean."""

from collections.abc import Mapping
from typing import TypeVar

import typer

from videoworker.models import CHECKPOINTS
from videoworker.models.checkpoint import Checkpoint
from videoworker.models.sound_model import SoundModel
from videoworker.models.video_model import VideoModel

Model = TypeVar("Model", VideoModel, SoundModel, VideoModel | SoundModel)


def declared_variant(model: str, variant: str | None, among: Mapping[str, tuple[Model, ...]]) -> Model:
    """The variant of this name, of a model that is one of `among`; None: its first. Raises `typer.BadParameter` that
    says which there are."""
    if model not in among:
        raise typer.BadParameter(f"{model!r} is not one of {', '.join(among)}", param_hint="MODEL")
    return among[model][_index(model, [declared.variant for declared in among[model]], variant)]


def declared_checkpoint(model: str, variant: str | None) -> Checkpoint:
    """As `declared_variant`, of a video or sound model, or of super-resolution."""
    if model not in CHECKPOINTS:
        raise typer.BadParameter(f"{model!r} is not one of {', '.join(CHECKPOINTS)}", param_hint="MODEL")
    checkpoints = CHECKPOINTS[model]
    return checkpoints[_index(model, [checkpoint.variant for checkpoint in checkpoints], variant)]


def _index(model: str, variants: list[str], wanted: str | None) -> int:
    if wanted is None:
        return 0
    if wanted in variants:
        return variants.index(wanted)
    names = [variant for variant in variants if variant]
    known = f"not one of {', '.join(names)}" if names else f"no variant: {model} has none"
    raise typer.BadParameter(f"{wanted!r} is {known}", param_hint="--variant")
