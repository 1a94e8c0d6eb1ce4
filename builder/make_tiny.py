"""Makes a small checkpoint of random numbers in the layout of a model's real one: `python -m builder.make_tiny mochi
weights/mochi`. It loads, samples and decodes in a moment, and its videos show nothing."""

from pathlib import Path
from typing import Annotated

import typer

from builder import tiny
from builder.declared import FIRST_OF_FAMILY
from videoworker.commands.model_arguments import declared_variant
from videoworker.models import VARIANTS

# The small checkpoints of each family, by the name of its first model.
FAMILIES = {model.name: tiny.of_family(family) for family, model in FIRST_OF_FAMILY.items()}

app = typer.Typer(add_completion=False)


@app.command()
def make(
    model: Annotated[str, typer.Argument(help=f"one of: {', '.join(VARIANTS)}")],
    folder: Annotated[Path, typer.Argument(help="where the checkpoint goes")],
    variant: Annotated[str | None, typer.Option(help="which of its variants; the first if not said")] = None,
) -> None:
    """Raises `typer.BadParameter` for a model or variant that there is not."""
    declared = declared_variant(model, variant, VARIANTS)
    tiny.save(declared, folder)


if __name__ == "__main__":
    app()
