"""The SHA-256 of every file of a checkpoint, and whether the files still have it.

A manifest lies beside the weights, in the form that `sha256sum -c` reads. A snapshot of the hub's cache needs none: its
files are links, and what they lead to is called by its hash.
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from videoworker.errors import Code, JobError
from videoworker.models.checkpoint import Checkpoint

NAME = "SHA256SUMS"

_BYTES_AT_ONCE = 1 << 22
_LINE = re.compile(r"([0-9a-f]{64}) [ *](.+)")
_SHA256, _GIT = re.compile("[0-9a-f]{64}"), re.compile("[0-9a-f]{40}")


def nobody(_: int) -> None:
    """For those who do not ask how far it is."""


def sha256(file: Path, advance: Callable[[int], object] = nobody) -> str:
    """The file's hash. `advance` is called with each number of bytes that are read."""
    return _digest(file, hashlib.sha256(), advance)


def git_blob(file: Path, advance: Callable[[int], object] = nobody) -> str:
    """The name that git gives the file, by which the hub knows files that are not large."""
    return _digest(file, hashlib.sha1(b"blob %d\0" % file.stat().st_size, usedforsecurity=False), advance)


def write(folder: Path, hashes: Mapping[str, str]) -> None:
    """Writes the manifest. `hashes` are by the files' paths in the checkpoint."""
    (folder / NAME).write_text("".join(f"{digest}  {path}\n" for path, digest in sorted(hashes.items())))


def files_in(folder: Path) -> list[Path]:
    """The checkpoint's files, without the manifest."""
    return sorted(file for file in folder.rglob("*") if file.is_file() and file.name != NAME)


def size(folder: Path) -> int:
    """How many bytes `check` reads."""
    files = [folder / path for path in _expected(folder)]
    return sum(file.stat().st_size for file in files if file.is_file())


def check(checkpoint: Checkpoint, folder: Path, advance: Callable[[int], object] = nobody) -> int:
    """Reads every byte, and returns how many files there are. Raises `JobError` MODEL_NOT_LOADED that names those that
    are missing or have changed, or says that there is nothing to compare with."""
    expected = _expected(folder)
    if not expected:
        message = f"There is nothing to compare the files of {checkpoint.title} with: no {NAME} lies beside them."
        raise JobError(Code.MODEL_NOT_LOADED, f"{message} Remove them, and fetch them again: {checkpoint.how_to_fetch}")
    wrong = [
        f"{path} {problem}"
        for path, digest in expected.items()
        if (problem := _problem(folder / path, digest, advance))
    ]
    if wrong:
        message = f"The weights of {checkpoint.title} are damaged: {'; '.join(wrong)}."
        raise JobError(Code.MODEL_NOT_LOADED, f"{message} Remove them, and fetch them again: {checkpoint.how_to_fetch}")
    return len(expected)


def _expected(folder: Path) -> dict[str, str]:
    """By path, the SHA-256 or git's name; empty if nothing is known. Raises `JobError` for a manifest of another
    form."""
    manifest = folder / NAME
    if not manifest.is_file():
        linked = {file.relative_to(folder).as_posix(): file.resolve().name for file in files_in(folder)}
        return {path: name for path, name in linked.items() if _SHA256.fullmatch(name) or _GIT.fullmatch(name)}
    expected = {}
    for line in manifest.read_text().splitlines():
        entry = _LINE.fullmatch(line)
        if entry is None:
            raise JobError(Code.MODEL_NOT_LOADED, f"{NAME} has a line that is no hash and path: {line[:80]!r}")
        expected[entry[2]] = entry[1]
    return expected


def _problem(file: Path, digest: str, advance: Callable[[int], object]) -> str | None:
    if not file.is_file():
        return "is missing"
    found = sha256(file, advance) if _SHA256.fullmatch(digest) else git_blob(file, advance)
    return None if found == digest else "is not what it was"


def _digest(file: Path, digest: "hashlib._Hash", advance: Callable[[int], object]) -> str:
    with file.open("rb") as opened:
        while piece := opened.read(_BYTES_AT_ONCE):
            digest.update(piece)
            advance(len(piece))
    return digest.hexdigest()
