"""The arguments MODEL and --variant of a command: which variant they mean."""

from collections.abc import Mapping

import typer

from videoworker.models import DECLARED, VARIANTS
from videoworker.models.checkpoint import Checkpoint
from videoworker.models.video_model import VideoModel


def declared_variant(model: str, variant: str | None) -> VideoModel:
    """A video model's variant of this name; None: its first. Raises `typer.BadParameter` that says which there are."""
    if model not in VARIANTS:
        raise _unknown_model(model, VARIANTS)
    return VARIANTS[model][_index(model, [declared.variant for declared in VARIANTS[model]], variant)]


def declared_checkpoint(model: str, variant: str | None) -> Checkpoint:
    """As `declared_variant`, of video and sound models."""
    if model not in DECLARED:
        raise _unknown_model(model, DECLARED)
    return DECLARED[model][_index(model, [one.variant for one in DECLARED[model]], variant)].checkpoint


def _unknown_model(model: str, declared: Mapping[str, object]) -> typer.BadParameter:
    return typer.BadParameter(f"{model!r} is not one of {', '.join(declared)}", param_hint="MODEL")


def _index(model: str, variants: list[str], wanted: str | None) -> int:
    if wanted is None:
        return 0
    if wanted in variants:
        return variants.index(wanted)
    names = [variant for variant in variants if variant]
    known = f"not one of {', '.join(names)}" if names else f"no variant: {model} has none"
    raise typer.BadParameter(f"{wanted!r} is {known}", param_hint="--variant")
