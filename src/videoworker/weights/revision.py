"""Which revision the files of a checkpoint are."""

import hashlib
from pathlib import Path

_FINGERPRINT_BYTES = 1 << 16


def revision(folder: Path) -> str:
    """The hub's commit if the folder is a snapshot of its cache. Else a fingerprint of the files.

    It is made from their names and sizes, and from the first and last 64 KiB of each: its header and some numbers.
    """
    if (snapshot := commit(folder)) is not None:
        return snapshot
    digest = hashlib.sha256()
    for file in sorted(folder.rglob("*.safetensors")):
        digest.update(f"{file.relative_to(folder).as_posix()} {file.stat().st_size}\n".encode())
        with file.open("rb") as opened:
            digest.update(opened.read(_FINGERPRINT_BYTES))
            opened.seek(max(opened.tell(), file.stat().st_size - _FINGERPRINT_BYTES))
            digest.update(opened.read())
    return digest.hexdigest()[:12]


def commit(folder: Path) -> str | None:
    """The hub's commit; None if the folder is no snapshot of its cache."""
    resolved = folder.resolve()
    return resolved.name if resolved.parent.name == "snapshots" else None
