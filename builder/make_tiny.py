"""Makes a small checkpoint of random numbers in the layout of a family's real one: `python -m builder.make_tiny mochi
weights/mochi`. It loads, samples and decodes in a moment, and its videos show nothing."""

from pathlib import Path
from typing import Annotated

import typer

from builder.tiny import cogvideox, hunyuanvideo, hunyuanvideo_1_5, ltx, mochi

# By the family's name among the models; the first variant is the one that is meant where none is named.
FAMILIES = {
    "cogvideox": cogvideox,
    "hunyuanvideo": hunyuanvideo,
    "hunyuanvideo-1.5": hunyuanvideo_1_5,
    "ltx": ltx,
    "mochi": mochi,
}

app = typer.Typer(add_completion=False)


@app.command()
def make(
    family: Annotated[str, typer.Argument(help=f"one of: {', '.join(FAMILIES)}")],
    folder: Annotated[Path, typer.Argument(help="where the checkpoint goes")],
    variant: Annotated[str | None, typer.Option(help="which of the family's variants")] = None,
) -> None:
    """Raises `typer.BadParameter` for a family or variant that there is not."""
    if family not in FAMILIES:
        raise typer.BadParameter(f"{family!r} is not one of {', '.join(FAMILIES)}", param_hint="FAMILY")
    variants = FAMILIES[family].VARIANTS
    if variant is not None and variant not in variants:
        named = ", ".join(filter(None, variants)) or "none"
        raise typer.BadParameter(f"{variant!r} is no variant: {family} has {named}", param_hint="--variant")
    FAMILIES[family].save(folder, variants[0] if variant is None else variant)


if __name__ == "__main__":
    app()
