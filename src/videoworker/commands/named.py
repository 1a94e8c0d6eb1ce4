"""A model or one of its variants as named on the command line."""

import typer

from videoworker.models import VARIANTS
from videoworker.models.video_model import VideoModel


def named(model: str, variant: str | None) -> VideoModel:
    """Raises `typer.BadParameter` that says which names there are."""
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
