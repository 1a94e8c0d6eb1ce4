"""Writes the README's tables, between their markers: every API's fields from the schemas that check requests, and the
environment variables from the settings of worker and endpoint.

python -m builder.readme_tables
"""

import json
from pathlib import Path
from typing import Annotated

import typer
from pydantic import SecretStr
from pydantic_settings import BaseSettings

from videoworker.apis import APIS
from videoworker.apis.api import Api
from videoworker.apis.input import Input
from videoworker.apis.words import FieldWords, described
from videoworker.endpoint.settings import EndpointSettings
from videoworker.settings import Settings

README = Path(__file__).parent.parent / "README.md"


def tables() -> dict[str, str]:
    """Markdown by the name of its markers."""
    return {
        "requests": "\n\n".join(map(_table, APIS.values())),
        "settings": _settings_table(Settings),
        "endpoint": _settings_table(EndpointSettings),
    }


def with_tables(text: str) -> str:
    """`text` with the tables of today between its markers. Raises `ValueError` where it lacks a pair of markers."""
    for name, table in tables().items():
        begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
        before, _, rest = text.partition(begin)
        _, found, after = rest.partition(end)
        if not found:
            raise ValueError(f"there is no {begin} followed by {end}")
        text = f"{before}{begin}\n\n{table}\n\n{end}{after}"
    return text


def main(readme: Annotated[Path, typer.Argument(help="the file that has the markers")] = README) -> None:
    """Brings the tables of README.md up to date."""
    readme.write_text(with_tables(readme.read_text("utf-8")), "utf-8")


def _settings_table(settings: type[BaseSettings]) -> str:
    rows = ["| variable | default | meaning |", "|---|---|---|"]
    for name, field in settings.model_fields.items():
        if not name.startswith("runpod_"):  # the platform's own
            default = field.default
            if isinstance(default, Path) and default.is_relative_to(README.parent):
                default = default.relative_to(README.parent)
            if isinstance(default, SecretStr):
                default = default.get_secret_value()
            rows.append(f"| `{name.upper()}` | {'' if default is None else f'`{default}`'} | {field.description} |")
    return "\n".join(rows)


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
