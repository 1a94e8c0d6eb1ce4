"""`videoworker fetch`: a model's weights from the hub."""

from pathlib import Path
from typing import Annotated

import typer

from videoworker.commands.model_arguments import declared_checkpoint
from videoworker.settings import settings


def fetch(
    model: Annotated[str, typer.Argument(help="as `videoworker models` names it")],
    variant: Annotated[str | None, typer.Option(help="which of its variants; by default the first")] = None,
    to: Annotated[Path | None, typer.Option(help="directory for the model's folder; by default WEIGHTS_DIR")] = None,
) -> None:
    """Downloads the files that the worker loads, in their dtype, and checks them. Continues an interrupted download."""
    checkpoint = declared_checkpoint(model, variant)

    from videoworker.weights import fetch as weights  # torch takes seconds to import, and other commands do without

    for line in (f"licence: {checkpoint.licence}", *checkpoint.notes):
        typer.echo(line)
    folder = weights.fetch(checkpoint, to or settings().weights_dir)
    typer.echo(f"{checkpoint.title} is in {folder}")
