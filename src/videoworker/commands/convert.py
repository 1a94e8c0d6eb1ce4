"""`videoworker convert`: rewrites torch's weight files as safetensors."""

from pathlib import Path
from typing import Annotated

import typer


def convert(
    file: Annotated[Path, typer.Argument(help="a .bin, .pth, .pt or .ckpt file, or the .bin.index.json of several")],
) -> None:
    """Writes the tensors beside the file as safetensors, reading nothing but tensors from it."""
    from videoworker.weights import convert as files  # torch takes seconds to import, and other commands do without

    for written in files.convert(file):
        typer.echo(f"wrote {written}")
