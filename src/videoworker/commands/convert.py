"""`videoworker convert`: rewrites torch's weight files as safetensors."""

from pathlib import Path
from typing import Annotated

import typer

from videoworker.commands.model_arguments import declared_checkpoint
from videoworker.settings import settings


def convert(
    source: Annotated[
        str,
        typer.Argument(
            metavar="FILE | MODEL",
            help="a .bin, .pth, .pt or .ckpt file, or the .bin.index.json of several; or a model that is published in "
            "another layout",
        ),
    ],
    folder: Annotated[
        Path | None,
        typer.Argument(help="for a model: where its published files are, with a folder for each repository"),
    ] = None,
    variant: Annotated[str | None, typer.Option(help="which of the model's variants; by default the first")] = None,
    to: Annotated[Path | None, typer.Option(help="directory for the model's folder; by default WEIGHTS_DIR")] = None,
) -> None:
    """Writes the tensors beside the file as safetensors, or a model's into its folder. Reads nothing but tensors."""
    # torch takes seconds to import, and other commands do without
    if folder is None:
        from videoworker.weights import convert as files

        for written in files.convert(Path(source)):
            typer.echo(f"wrote {written}")
        return

    checkpoint = declared_checkpoint(source, variant)
    if not checkpoint.layout:
        raise typer.BadParameter(f"{checkpoint.title} is published as it is used", param_hint="MODEL")
    from videoworker.weights.published import convert_published

    made, unexpected = convert_published(checkpoint, folder, to or settings().weights_dir)
    for file, names in unexpected.items():
        typer.echo(f"left out of {file}, because nothing is known of them: {', '.join(names)}")
    typer.echo(f"{checkpoint.title} is in {made}")
