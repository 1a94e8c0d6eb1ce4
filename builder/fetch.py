"""Weights for an image, at its build: `python -m builder.fetch --model mochi --variant "" --to /weights`, and with
`--sound` those of a sound model beside it.

It needs of the worker only what `videoworker fetch` does its work with, so that the layer that it makes is made again
only if that changes.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from videoworker.commands.model_arguments import declared_checkpoint, declared_variant
from videoworker.errors import JobError
from videoworker.models import SOUND_VARIANTS


def main(
    model: Annotated[str, typer.Option(help="empty: none")],
    variant: Annotated[str, typer.Option(help="empty: the first; several with commas between")],
    to: Annotated[Path, typer.Option(help="directory that gets the model's folders; made if it is absent")],
    is_sound: Annotated[bool, typer.Option("--sound", help="a sound model beside the one that is served")] = False,
    accept_license: Annotated[bool, typer.Option("--accept-license", envvar="ACCEPT_TENCENT_LICENSE")] = False,
) -> None:
    """Fetches the variants of a model. The process ends with one line if it cannot."""
    to.mkdir(parents=True, exist_ok=True)
    argument = "SOUND_MODEL" if is_sound else "MODEL"
    if not model:
        sys.exit(f"{argument}_VARIANT: {variant!r} of no {argument}" if variant else 0)
    try:
        names = [one or None for one in variant.split(",")]
        if is_sound:
            wanted = [declared_variant(model, name, SOUND_VARIANTS).checkpoint for name in names]
        else:
            wanted = [declared_checkpoint(model, name) for name in names]
        if all(one.repository for one in wanted):  # else they ship with the repository
            from videoworker.weights.fetch import fetch  # torch takes seconds to import

            for one in wanted:
                print("; ".join([f"fetching {one.title}", f"licence: {one.licence}", *one.notes]), flush=True)
                fetch(one, to, accept_license)
    except typer.BadParameter as error:
        sys.exit(f"{argument}{'_VARIANT' if error.param_hint == '--variant' else ''}: {error.message}")
    except JobError as error:
        sys.exit(error.message)


if __name__ == "__main__":
    typer.run(main)
