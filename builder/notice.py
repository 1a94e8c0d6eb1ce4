"""Writes NOTICE: under which terms the models' weights stand, from their declarations.

python -m builder.notice
"""

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from textwrap import fill
from typing import Annotated

import typer
from videoworker.models.declaration import Model

from videoworker.models import VARIANTS

NOTICE = Path(__file__).parent.parent / "NOTICE"

_HEAD = """\
worker-video
Copyright the authors of worker-video

Licensed under the Apache License, Version 2.0: see LICENSE.

The weights of the models that worker-video runs are works of others, under licences of their own, and no part of it;
only those of sketch are its own. Whoever fetches weights, or makes videos with them, keeps to their licence. The
repositories named here are those of the Hugging Face hub.
"""


def notice() -> str:
    """The whole file."""
    return "\n".join([_HEAD, *(_entry(name, list(models)) for name, models in _alike())])


def main(path: Annotated[Path, typer.Argument(help="the file to write")] = NOTICE) -> None:
    """Brings NOTICE up to date."""
    path.write_text(notice(), "utf-8")


def _alike() -> Iterator[tuple[str, Iterator[Model]]]:
    """The variants of each model that stand under the same terms."""
    for name, variants in VARIANTS.items():
        for _, models in groupby(variants, key=lambda model: (model.licence, model.notes, model.gated)):
            yield name, models


def _entry(name: str, models: list[Model]) -> str:
    first = models[0]
    terms = {
        "licence": first.licence,
        "territory": first.territory,
        "conditions": first.conditions,
        "access": "The hub asks for an account that accepted the licence." if first.gated else "",
    }
    lines = [name, *(_line(word, meaning) for word, meaning in terms.items() if meaning)]
    for model in models:
        lines.append(_line("weights", model.repository or f"weights/{model.folder}, in this repository"))
    return "\n".join(lines) + "\n"


def _line(word: str, meaning: str) -> str:
    return fill(meaning, 120, initial_indent=f"  {word + ':':12}", subsequent_indent=" " * 14, break_on_hyphens=False)


if __name__ == "__main__":
    typer.run(main)
