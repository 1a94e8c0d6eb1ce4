"""A model's weights: found on this machine or fetched, and which revision they are."""

import hashlib
from pathlib import Path

import structlog

from videoworker.engine.fetch import fetch
from videoworker.engine.places import Found, locate
from videoworker.errors import Code, JobError
from videoworker.models.declaration import Model
from videoworker.settings import Settings

_FINGERPRINT_BYTES = 1 << 16

_log = structlog.get_logger()


def find(model: Model, settings: Settings) -> Found:
    """Where the model's weights lie; fetched from the hub where they are nowhere and ALLOW_DOWNLOAD is set. Raises
    `JobError` MODEL_NOT_LOADED that says how to get them where they are absent."""
    found = locate(model, settings)
    if found is None and settings.allow_download and model.runner:
        found = Found("the hub", fetch(model, settings.weights_dir))
    if found is None:
        raise JobError(
            Code.MODEL_NOT_LOADED,
            f"The weights of {model.title} are not installed. To fetch them ({model.licence}): {model.how_to_fetch}"
            + ("" if model.runner else " (but this version cannot run them yet)"),
        )
    _log.info("weights found", model=model.name, variant=model.variant, place=found.place, folder=str(found.folder))
    commit = _commit(found.folder)
    if model.revision and commit not in (None, model.revision):
        _log.warning("weights of another commit than the pinned one", commit=commit, pinned=model.revision)
    return found


def revision(folder: Path) -> str:
    """The hub's commit where the folder is a snapshot of its cache; else a fingerprint of the files themselves: their
    names and sizes, and the first and last 64 KiB of each: its header and some of its numbers."""
    commit = _commit(folder)
    if commit is not None:
        return commit
    digest = hashlib.sha256()
    for file in sorted(folder.rglob("*.safetensors")):
        digest.update(f"{file.relative_to(folder).as_posix()} {file.stat().st_size}\n".encode())
        with file.open("rb") as opened:
            digest.update(opened.read(_FINGERPRINT_BYTES))
            opened.seek(max(opened.tell(), file.stat().st_size - _FINGERPRINT_BYTES))
            digest.update(opened.read())
    return digest.hexdigest()[:12]


def _commit(folder: Path) -> str | None:
    resolved = folder.resolve()
    return resolved.name if resolved.parent.name == "snapshots" else None
