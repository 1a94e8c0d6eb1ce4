"""`videoworker fetch`: a model's weights from the hub."""

from pathlib import Path
from typing import Annotated

import typer

from videoworker.commands.model_arguments import declared_variant
from videoworker.settings import settings


def fetch(
    model: Annotated[str, typer.Argument(help="as `videoworker models` names it")],
    variant: Annotated[str | None, typer.Option(help="which of its variants; the first where not said")] = None,
    to: Annotated[
        Path | None, typer.Option(help="directory that gets the model's folder; WEIGHTS_DIR where not said")
    ] = None,
) -> None:
    """Downloads the files that the worker loads, in their dtype, checks them, and goes on where it was interrupted."""
    declared = declared_variant(model, variant)

    from videoworker.weights import fetch as weights  # torch takes seconds to import; the other commands need none

    checkpoint = declared.checkpoint
    for line in (f"licence: {checkpoint.licence}", *checkpoint.notes):
        typer.echo(line)
    folder = weights.fetch(checkpoint, to or settings().weights_dir)
    typer.echo(f"{checkpoint.title} is in {folder}")
