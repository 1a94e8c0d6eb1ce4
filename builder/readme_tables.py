"""Writes the README's tables, between their markers: every API's fields from the schemas that check requests, the
environment variables from the settings of worker and endpoint, and what the Hub's presets need.

python -m builder.readme_tables
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from pydantic import SecretStr
from pydantic_settings import BaseSettings

from builder.presets import PRESETS, Preset
from videoworker.apis import APIS
from videoworker.apis.api import Api
from videoworker.apis.input import Input
from videoworker.apis.words import FieldWords, described
from videoworker.endpoint.settings import EndpointSettings
from videoworker.models.placement import GIB
from videoworker.models.published_seconds import GPU
from videoworker.settings import Settings

README = Path(__file__).parent.parent / "README.md"

_ABOUT_PRESETS = """\
The presets of RunPod's Hub. Nothing in this table is measured: it is what `videoworker estimate` computes from the
bytes of the weights, for the default clip, from text or from an image. A pool stands beside the fastest placement for
which each of its cards has room; all placements but `fp8` make the same video. RunPod's prices a second rise
roughly with a card's memory, so the GB in a preset's name are its lowest price class, and pools stand in that order
(estimated: today's prices are on RunPod's price page). The disk holds the weights, which the first start fetches. A job
that takes longer than 10 minutes also needs a higher execution timeout of the endpoint."""


def tables() -> dict[str, str]:
    """Markdown by the name of its markers."""
    return {
        "requests": "\n\n".join(map(_table, APIS.values())),
        "presets": _presets_table(),
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


def _presets_table() -> str:
    head = (
        "preset | model | default clip | disk | placement | GiB needed | GPU pools that fit "
        f"| seconds to denoise on an {GPU}, estimated from published figures"
    )
    rows = [row for preset in PRESETS for row in _preset_rows(preset)]
    restricted: dict[str, list[str]] = {}
    for model in (model for preset in PRESETS for model in preset.models):
        for note in model.notes:
            restricted.setdefault(note, []).append(model.title)
    notes = [f"- {', '.join(titles)}: {note}" for note, titles in restricted.items()]
    return "\n".join([_ABOUT_PRESETS, "", f"| {head} |", "|---" * (head.count("|") + 1) + "|", *rows, "", *notes])


def _preset_rows(preset: Preset) -> Iterator[str]:
    """One for each placement that some pool is best used with."""
    model = preset.model
    first = (
        preset.name,
        ", ".join(variant.title for variant in preset.models),
        f"{model.default_width}x{model.default_height}, {model.default_frames} frames, {model.default_steps} steps",
        f"{preset.disk_gb} GB",
    )
    seconds = "not known" if preset.seconds is None else f"about {preset.seconds:.0f}"
    for index, (placement, pools) in enumerate(reversed(preset.pools.items())):
        cells = (
            *(first if index == 0 else ("",) * len(first)),
            f"`{placement}`",
            f"{preset.needed(placement) / GIB:.1f}",
        )
        yield f"| {' | '.join((*cells, ', '.join(pools), seconds if index == 0 else ''))} |"


def _table(api: Api[Input]) -> str:
    head = ["| field | type | required | default | allowed | description |", "|---|---|---|---|---|---|"]
    return "\n".join([f"#### `{api.name}`", "", *head, *map(_row, described(api.schema).values())])


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
