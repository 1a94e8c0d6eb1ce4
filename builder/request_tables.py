"""Writes the tables of every API's fields into README.md, between its markers, from the schemas that check requests.

python -m builder.request_tables
"""

import json
from pathlib import Path
from typing import Annotated

import typer

from videoworker.apis import APIS
from videoworker.apis.api import Api
from videoworker.apis.input import Input
from videoworker.apis.words import FieldWords, described

BEGIN, END = "<!-- requests:begin -->", "<!-- requests:end -->"
README = Path(__file__).parent.parent / "README.md"


def tables() -> str:
    """One Markdown table for each API."""
    return "\n\n".join(map(_table, APIS.values()))


def with_tables(text: str) -> str:
    """`text` with the tables of today between its markers. Raises `ValueError` where it has no markers."""
    before, _, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"there is no {BEGIN} followed by {END}")
    return f"{before}{BEGIN}\n\n{tables()}\n\n{END}{after}"


def main(readme: Annotated[Path, typer.Argument(help="the file that has the markers")] = README) -> None:
    """Brings the request tables of README.md up to date."""
    readme.write_text(with_tables(readme.read_text("utf-8")), "utf-8")


def _table(api: Api[Input]) -> str:
    head = ["| field | type | required | default | allowed | description |", "|---|---|---|---|---|---|"]
    return "\n".join([f"### `{api.name}`", "", *head, *map(_row, described(api.schema).values())])


def _row(field: FieldWords) -> str:
    default = "" if field.default is None else f"`{json.dumps(field.default)}`"
    cells = (
        f"`{field.name}`",
        field.type,
        "yes" if field.required else "no",
        default,
        field.allowed,
        field.description,
    )
    escaped = (cell.replace("|", r"\|") for cell in cells)
    return f"| {' | '.join(escaped)} |"


if __name__ == "__main__":
    typer.run(main)
