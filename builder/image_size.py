"""What the bytes of an image are: `python -m builder.image_size FOLDER`.

FOLDER is the root of an image's files (`docker export` unpacked, or `buildah mount`), a virtual environment, or a
folder of wheels, which are then counted as large as they are once installed.
"""

import os
from collections import Counter
from importlib.metadata import distributions
from pathlib import Path
from typing import Annotated
from zipfile import ZipFile

import typer

# Of the whole: packages smaller than that are not named.
_LEAST_SHARE = 0.005

app = typer.Typer(add_completion=False)


def sizes(folder: Path) -> Counter[str]:
    """Bytes by package; what belongs to none by the first two folders of its path."""
    if wheels := sorted(folder.glob("*.whl")):
        return _of_wheels(wheels)
    counted: Counter[str] = Counter()
    owners: dict[str, str] = {}
    seen: set[tuple[int, int]] = set()
    for parent, _, files in os.walk(folder):
        if os.path.basename(parent) == "site-packages":
            owners |= _owners(Path(parent))
        for name in files:
            path = os.path.join(parent, name)
            about = os.lstat(path)
            if (about.st_dev, about.st_ino) not in seen:  # a file may have several names
                seen.add((about.st_dev, about.st_ino))
                counted[owners.get(_source(path)) or _place(Path(path).relative_to(folder))] += about.st_size
    return counted


def _of_wheels(wheels: list[Path]) -> Counter[str]:
    counted: Counter[str] = Counter()
    for wheel in wheels:
        with ZipFile(wheel) as archive:
            counted[wheel.name.partition("-")[0].replace("_", "-")] += sum(one.file_size for one in archive.infolist())
    return counted


def _owners(site_packages: Path) -> dict[str, str]:
    """The package that each file there, and each that one brings elsewhere, is of."""
    return {
        os.path.normpath(site_packages / file): package.name
        for package in distributions(path=[str(site_packages)])
        for file in package.files or []
    }


def _source(path: str) -> str:
    """The module that a file of bytecode was compiled from; any other file itself."""
    folder, name = os.path.split(path)
    if name.endswith(".pyc") and os.path.basename(folder) == "__pycache__":
        return os.path.join(os.path.dirname(folder), f"{name.partition('.')[0]}.py")
    return path


def _place(path: Path) -> str:
    return "/".join(path.parts[:-1][:2]) or path.name


@app.command()
def main(folder: Annotated[Path, typer.Argument(exists=True, file_okay=False)]) -> None:
    """Prints MB by package, the largest first."""
    counted = sizes(folder)
    total = sum(counted.values())
    others = Counter({name: size for name, size in counted.items() if size < _LEAST_SHARE * total})
    for name, size in (counted - others).most_common():
        _say(size, name)
    if others:
        _say(sum(others.values()), f"{len(others)} others")
    _say(total, "in all")


def _say(size: int, name: str) -> None:
    typer.echo(f"{size / 1e6:9.1f} MB  {name}")


if __name__ == "__main__":
    app()
