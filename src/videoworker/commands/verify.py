"""`videoworker verify`: whether a model's weights are, to the last byte, those that were fetched."""

from typing import Annotated

import typer
from tqdm import tqdm

from videoworker.commands.model_arguments import declared_checkpoint
from videoworker.errors import Code, JobError
from videoworker.settings import settings
from videoworker.weights import manifest
from videoworker.weights.places import locate


def verify(
    model: Annotated[str, typer.Argument(help="as `videoworker models` names it")],
    variant: Annotated[str | None, typer.Option(help="which of its variants; by default the first")] = None,
) -> None:
    """Reads every file and compares its SHA-256 with the manifest beside it, or with the hub's cache."""
    # what this imports is not in the gateway's image, which has this command too
    from videoworker.weights.verify import verify as verify_headers

    checkpoint = declared_checkpoint(model, variant)
    found = locate(checkpoint, settings())
    if found is None:
        raise JobError(Code.MODEL_NOT_LOADED, checkpoint.absence)
    verify_headers(checkpoint, found.folder)
    with tqdm(total=manifest.size(found.folder), unit="B", unit_scale=True, desc=checkpoint.title) as bar:
        count = manifest.check(checkpoint, found.folder, bar.update)
    typer.echo(f"{checkpoint.title} is whole: {count} files in {found.folder}")
