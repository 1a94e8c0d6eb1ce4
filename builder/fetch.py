"""Weights for an image, at its build: `python -m builder.fetch --model mochi --variant "" --to /weights`.

It needs of the worker only what `videoworker fetch` does its work with, so that the layer that it makes is made again
only if that changes.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from videoworker.commands.model_arguments import declared_variant
from videoworker.errors import JobError


def main(
    model: Annotated[str, typer.Option(help="empty: none")],
    variant: Annotated[str, typer.Option(help="empty: the first; several with commas between")],
    to: Annotated[Path, typer.Option(help="directory that gets the model's folders; made if it is absent")],
    accept_license: Annotated[bool, typer.Option("--accept-license", envvar="ACCEPT_TENCENT_LICENSE")] = False,
) -> None:
    """Fetches the variants of a model. The process ends with one line if it cannot."""
    to.mkdir(parents=True, exist_ok=True)
    if not model:
        sys.exit(f"MODEL_VARIANT: {variant!r} of no MODEL" if variant else 0)
    try:
        wanted = [declared_variant(model, one or None).checkpoint for one in variant.split(",")]
        if all(one.repository for one in wanted):  # else they ship with the repository
            from videoworker.weights.fetch import fetch  # torch takes seconds to import

            for one in wanted:
                print("; ".join([f"fetching {one.title}", f"licence: {one.licence}", *one.notes]), flush=True)
                fetch(one, to, accept_license)
    except typer.BadParameter as error:
        sys.exit(f"{'MODEL_VARIANT' if error.param_hint == '--variant' else 'MODEL'}: {error.message}")
    except JobError as error:
        sys.exit(error.message)


if __name__ == "__main__":
    typer.run(main)
