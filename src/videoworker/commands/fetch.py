"""`videoworker fetch`: a model's weights from the hub."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from videoworker.commands.model_arguments import declared_checkpoint
from videoworker.settings import settings


def fetch(
    model: Annotated[str, typer.Argument(help="as `videoworker models` names it")],
    variant: Annotated[str | None, typer.Option(help="which of its variants; by default the first")] = None,
    to: Annotated[Path | None, typer.Option(help="directory for the model's folder; by default WEIGHTS_DIR")] = None,
    accept_license: Annotated[
        bool, typer.Option("--accept-license", help="accept a licence that leaves countries out, without a question")
    ] = False,
) -> None:
    """Downloads the files that the worker loads, in their dtype, and checks them. Continues an interrupted download. If
    the licence leaves countries out, asks on a terminal whether you accept it."""
    checkpoint = declared_checkpoint(model, variant)

    from videoworker.weights import fetch as weights  # takes a while to import, and other commands do without

    for line in (f"licence: {checkpoint.licence}", *checkpoint.notes):
        typer.echo(line)
    weights_dir = to or settings().weights_dir
    is_accepted = accept_license or settings().accept_tencent_license
    if checkpoint.needs_acceptance and not is_accepted and _is_terminal():
        is_here = weights.is_whole(checkpoint, weights_dir / checkpoint.folder)
        is_accepted = is_here or typer.confirm("Do you accept this licence?")
    folder = weights.fetch(checkpoint, weights_dir, is_accepted)
    typer.echo(f"{checkpoint.title} is in {folder}")


def _is_terminal() -> bool:
    """Whether somebody can read a question and answer it."""
    return sys.stdin.isatty() and sys.stdout.isatty()
