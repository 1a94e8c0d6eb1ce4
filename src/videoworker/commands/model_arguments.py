"""The arguments MODEL and --variant of a command: which variant they mean."""

import typer

from videoworker.models import VARIANTS
from videoworker.models.video_model import VideoModel


def declared_variant(model: str, variant: str | None) -> VideoModel:
    """The model's variant of this name; None: its first. Raises `typer.BadParameter` that says which there are."""
    if model not in VARIANTS:
        raise typer.BadParameter(f"{model!r} is not one of {', '.join(VARIANTS)}", param_hint="MODEL")
    if variant is None:
        return VARIANTS[model][0]
    for declared in VARIANTS[model]:
        if declared.variant == variant:
            return declared
    names = [declared.variant for declared in VARIANTS[model] if declared.variant]
    known = f"not one of {', '.join(names)}" if names else f"no variant: {model} has none"
    raise typer.BadParameter(f"{variant!r} is {known}", param_hint="--variant")
