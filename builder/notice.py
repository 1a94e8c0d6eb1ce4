"""Writes NOTICE: under which terms the models' weights stand, from their declarations.

python -m builder.notice
"""

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from textwrap import fill
from typing import Annotated

import typer

from videoworker.models import CHECKPOINTS
from videoworker.models.checkpoint import Checkpoint

NOTICE = Path(__file__).parent.parent / "NOTICE"

_HEAD = """\
worker-video
Copyright the authors of worker-video

Licensed under the Apache License, Version 2.0: see LICENSE.

The weights of the models that worker-video runs are works of others, under licences of their own, and no part of it.
Only those that lie in this repository are its own. Whoever fetches weights, or makes videos with them, keeps to their
licence. The repositories named here are those of the Hugging Face hub.
"""


def notice() -> str:
    """The whole file."""
    return "\n".join([_HEAD, *map(_entry, _alike())])


def main(path: Annotated[Path, typer.Argument(help="the file to write")] = NOTICE) -> None:
    """Brings NOTICE up to date."""
    path.write_text(notice(), "utf-8")


def _alike() -> Iterator[list[Checkpoint]]:
    """Those of each model that stand under the same terms."""
    for checkpoints in CHECKPOINTS.values():
        for _, alike in groupby(checkpoints, key=lambda one: (one.licence, one.notes, one.gated)):
            yield list(alike)


def _entry(checkpoints: list[Checkpoint]) -> str:
    first = checkpoints[0]
    terms = {
        "licence": first.licence,
        "territory": first.territory,
        "conditions": first.conditions,
        "access": "The hub asks for an account that accepted the licence." if first.gated else "",
    }
    lines = [first.model, *(_line(word, meaning) for word, meaning in terms.items() if meaning)]
    weights = [source for one in checkpoints for source in _sources(one)]
    lines += [_line("weights", source) for source in dict.fromkeys(weights)]
    return "\n".join(lines) + "\n"


def _sources(checkpoint: Checkpoint) -> list[str]:
    """Where its files come from, and under which licence if that is not the checkpoint's."""
    if not checkpoint.origins:
        return [checkpoint.repository or f"weights/{checkpoint.folder}, in this repository"]
    licences = {origin.repository: f" ({origin.licence})" if origin.licence else "" for origin in checkpoint.origins}
    return [f"{repository}{licence}" for repository, licence in licences.items()]


def _line(word: str, meaning: str) -> str:
    return fill(meaning, 120, initial_indent=f"  {word + ':':12}", subsequent_indent=" " * 14, break_on_hyphens=False)


if __name__ == "__main__":
    typer.run(main)
