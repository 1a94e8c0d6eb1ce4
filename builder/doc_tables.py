"""Writes the tables in `docs/` that repeat the code, each between its two markers.

python -m builder.doc_tables
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

import typer
from pydantic import SecretStr
from pydantic_settings import BaseSettings

from builder.presets import POOLS, PRESETS, PRICES, PRICES_READ, Preset, priced
from builder.published_names import names as file_names
from builder.published_names import paths as file_paths
from videoworker.apis import APIS
from videoworker.apis.api import Api
from videoworker.apis.input import Input
from videoworker.apis.schema_fields import SchemaField, schema_fields
from videoworker.endpoint.settings import EndpointSettings
from videoworker.errors import RETRYABLE, STATUS
from videoworker.gateway.settings import GatewaySettings
from videoworker.models import CHECKPOINTS, VARIANTS
from videoworker.models.checkpoint import Checkpoint, Component
from videoworker.models.video_model import VideoModel
from videoworker.planning.memory import GIB
from videoworker.settings import Settings

DOCS = Path(__file__).parent.parent / "docs"

# Which document has which tables.
TABLES_OF = {
    "deploy.md": ("presets", "prices"),
    "fields.md": ("errors", "requests"),
    "models.md": ("apis", "models"),
    "published-files.md": ("published",),
    "settings.md": ("settings", "endpoint", "gateway"),
}


def tables() -> dict[str, str]:
    """Markdown by the name of its markers."""
    return {
        "apis": _apis(),
        "endpoint": _settings(EndpointSettings),
        "errors": _errors(),
        "gateway": _settings(GatewaySettings),
        "models": _models(),
        "presets": _presets(),
        "prices": _prices(),
        "published": _published(),
        "requests": "\n\n".join(map(_fields, APIS.values())),
        "settings": _settings(Settings),
    }


def with_tables(text: str, names: Iterable[str]) -> str:
    """`text` with today's tables between the markers of these names. Raises `ValueError` if it lacks a pair."""
    made = tables()
    for name in names:
        begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
        before, _, rest = text.partition(begin)
        _, found, after = rest.partition(end)
        if not found:
            raise ValueError(f"there is no {begin} followed by {end}")
        text = f"{before}{begin}\n\n{made[name]}\n\n{end}{after}"
    return text


def main(folder: Annotated[Path, typer.Argument(help="the folder that has the documents")] = DOCS) -> None:
    """Brings the tables in docs/ up to date."""
    for document, names in TABLES_OF.items():
        path = folder / document
        path.write_text(with_tables(path.read_text("utf-8"), names), "utf-8")


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(_escaped(cell) for cell in line)} |" for line in lines)


def _escaped(cell: str) -> str:
    return cell.replace("|", r"\|")


def _settings(settings: type[BaseSettings]) -> str:
    """The variables of one process, without those that the platform sets for itself."""
    fields = {name: field for name, field in settings.model_fields.items() if not name.startswith("runpod_")}
    rows = [(f"`{name.upper()}`", _default(field.default), field.description or "") for name, field in fields.items()]
    return _table(("variable", "default", "meaning"), rows)


def _default(default: object) -> str:
    if isinstance(default, Path) and default.is_relative_to(DOCS.parent):
        default = default.relative_to(DOCS.parent)
    if isinstance(default, SecretStr):
        default = default.get_secret_value()
    return "" if default is None else f"`{default}`"


def _fields(api: Api[Input]) -> str:
    head = ("field", "type", "required", "default", "allowed", "description")
    return f"#### `{api.name}`\n\n" + _table(head, map(_field, schema_fields(api.schema).values()))


def _field(field: SchemaField) -> tuple[str, ...]:
    return (
        f"`{field.name}`",
        field.type,
        "yes" if field.required else "no",
        "" if field.default is None else f"`{json.dumps(field.default)}`",
        field.allowed,
        field.description,
    )


def _errors() -> str:
    rows = [(f"`{code}`", str(status), "yes" if code in RETRYABLE else "no") for code, status in STATUS.items()]
    return _table(("code", "status", "a retry can help"), rows)


def _apis() -> str:
    return _table(("API", "model"), [(f"`{api.name}`", api.model or "the best installed") for api in APIS.values()])


def _models() -> str:
    head = ("model", "variant", "makes video from", "default clip", "effort", "GB", "licence")
    models = [model for variants in VARIANTS.values() for model in variants]
    return (
        _table(head, map(_model, models))
        + "\n\n"
        + _restrictions((model.checkpoint.licence, model.checkpoint) for model in models)
    )


def _model(model: VideoModel) -> tuple[str, ...]:
    return (
        model.name,
        model.variant or "-",
        "image" if model.needs_image else "text, image" if model.takes_image else "text",
        _default_clip(model),
        ", ".join(model.efforts),
        f"{model.checkpoint.size / 1e9:.{1 if model.checkpoint.size > 1e9 else 3}f}",
        model.checkpoint.licence,
    )


def _published() -> str:
    """One row for each set of a network's files. Repositories with the same files stand together."""
    head = ("repository", "network", "files", "dtype", "stored here in", "loaded in", "listed by")
    alike: dict[tuple[Component, ...], list[Checkpoint]] = {}
    for checkpoint in (one for name in VARIANTS for one in CHECKPOINTS[name] if one.repository):
        alike.setdefault(checkpoint.components, []).append(checkpoint)
    return _table(head, (row for checkpoints in alike.values() for row in _published_rows(checkpoints)))


def _published_rows(checkpoints: list[Checkpoint]) -> Iterator[tuple[str, ...]]:
    sources = [
        ", ".join(f"[{source}](https://github.com/{source})" for source in checkpoint.listed_by) or "nobody"
        for checkpoint in checkpoints
    ]
    repositories = ", ".join(f"`{checkpoint.repository}`" for checkpoint in checkpoints)
    of_checkpoint = repositories, "; ".join(sources)
    for component in checkpoints[0].components:
        of_network = component.name, component.stored, component.dtype
        for files in component.published:
            more = f" and {files.parts - 1} more" if files.parts > 1 else ""
            name, stored, loaded = of_network
            where, listed = of_checkpoint
            file = (file_paths if component.path else file_names)(component, files)[0]
            yield where, name, f"`{file}`{more}", files.dtype, stored, loaded, listed
            of_network, of_checkpoint = ("", "", ""), ("", "")


def _default_clip(model: VideoModel) -> str:
    size = f"{model.default_width}x{model.default_height}"
    return f"{size}, {model.default_frames} frames, {model.default_steps} steps"


def _restrictions(checkpoints: Iterable[tuple[str, Checkpoint]]) -> str:
    """What licences restrict, each with the names of those that it holds for."""
    restricted: dict[str, dict[str, None]] = {}
    for name, checkpoint in checkpoints:
        for note in checkpoint.notes:
            restricted.setdefault(note, {})[name] = None
    return "\n".join(f"- {', '.join(names)}: {note}" for note, names in restricted.items())


def _presets() -> str:
    seconds = "seconds and USD for the default clip, by published figures"
    head = ("preset", "model", "default clip", "disk", "placement", "GiB needed", "GPU pools that fit", seconds)
    rows = [row for preset in PRESETS for row in _preset_rows(preset)]
    fetched = [(checkpoint.title, checkpoint) for preset in PRESETS for checkpoint in preset.checkpoints]
    return _table(head, rows) + "\n\n" + _restrictions(fetched)


def _prices() -> str:
    rows = [
        (pool, f"{size}", f"{PRICES[pool]:.5f}" if pool in PRICES else "not listed") for pool, size in POOLS.items()
    ]
    return _table(("pool", "GB", f"USD per second, {PRICES_READ}"), rows)


def _preset_rows(preset: Preset) -> Iterator[tuple[str, ...]]:
    """One row for each placement that some pool is best used with."""
    first = (
        preset.name,
        ", ".join(variant.checkpoint.title for variant in preset.models),
        _default_clip(preset.model),
        f"{preset.disk_gb} GB",
    )
    seconds = "; ".join(map(priced, preset.estimates)) or "not known"
    for index, (placement, pools) in enumerate(reversed(preset.pools.items())):
        yield (
            *(first if index == 0 else ("",) * len(first)),
            f"`{placement}`",
            f"{preset.needed(placement) / GIB:.1f}",
            ", ".join(pools),
            seconds if index == 0 else "",
        )


if __name__ == "__main__":
    typer.run(main)
