"""`videoworker models`: which models there are, where they were found, and what they need."""

from collections.abc import Iterator

import typer

from videoworker.errors import JobError
from videoworker.models import DECLARED, upscalers
from videoworker.models.sound_model import SoundModel
from videoworker.models.upscaler import Upscaler
from videoworker.models.video_model import VideoModel
from videoworker.settings import Settings, settings
from videoworker.weights import places

_COLUMNS = ("model", "variant", "made from", "GB", "needs", "licence", "found")


def models() -> None:
    """Prints every model and variant, its bytes, what it needs, and where it was found. The weights of super-resolution
    come after the variants that they are for."""
    current = settings()
    declared = [one for variants in DECLARED.values() for one in (*variants, *upscalers(variants))]
    rows = [_COLUMNS, *(_row(model, current) for model in declared)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    typer.echo("\nTo get one: videoworker fetch MODEL [--variant VARIANT]")
    for line in dict.fromkeys(line for model in declared for line in _remarks(model, current)):
        typer.echo(line)


def _row(model: VideoModel | SoundModel | Upscaler, current: Settings) -> tuple[str, ...]:
    found = places.locate(model.checkpoint, current)
    size = places.size(model.checkpoint, found.folder) if found else model.checkpoint.size
    return (
        model.name,
        model.checkpoint.variant or "-",
        _made_from(model),
        f"{'' if found else '~'}{size / 1e9:.{1 if size > 1e9 else 3}f}" if size else "-",
        _needs(model),
        model.checkpoint.licence,
        f"{found.place}: {found.folder}" if found else "-",
    )


def _made_from(model: VideoModel | SoundModel | Upscaler) -> str:
    if isinstance(model, SoundModel):
        return "video, text"
    if isinstance(model, Upscaler):
        return "its videos"
    return "image" if model.needs_image else "text, image" if model.takes_image else "text"


def _needs(model: VideoModel | SoundModel | Upscaler) -> str:
    needs = ["a GPU"] if isinstance(model, Upscaler) or model.needs_gpu else ["nothing"]
    is_licence_accepted = model.checkpoint.gated or model.checkpoint.needs_acceptance
    return ", ".join([*needs, *(["an accepted licence"] if is_licence_accepted else [])])


def _remarks(model: VideoModel | SoundModel | Upscaler, current: Settings) -> Iterator[str]:
    """What the licence restricts, and what is wrong with the files."""
    # what this imports is not in the gateway's image, which has this command too
    from videoworker.weights.verify import verify

    for note in model.checkpoint.notes:
        yield f"{model.checkpoint.licence}: {note}"
    if found := places.locate(model.checkpoint, current):
        try:
            verify(model.checkpoint, found.folder)
        except JobError as error:
            yield error.message
