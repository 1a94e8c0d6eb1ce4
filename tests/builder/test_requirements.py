"""What is pinned: all that is named and needed, once, with hashes, as it is installed; and the command that pins."""

import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions, requires, version
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.builder.pinned import pins
from tests.handler_process import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
NAMED = {
    "requirements.txt": PROJECT["project"]["dependencies"],
    "requirements-gateway.txt": PROJECT["dependency-groups"]["gateway"],
    "requirements-test.txt": PROJECT["dependency-groups"]["test"],
}


TORCH = pins("requirements-torch.txt")
HASHED = pins("requirements.txt") | pins("requirements-gateway.txt") | pins("requirements-test.txt")
# What holds in place of what packages say of these.
OVERRIDES = {
    canonicalize_name(one.name): one for one in map(Requirement, PROJECT["tool"]["uv"]["override-dependencies"])
}
# What torch brings may differ by its build; the rest is the same everywhere.
ALL = pins("constraints-torch.txt") | HASHED | TORCH


def needed(requirement: Requirement, seen: set[tuple[str, str]]) -> Iterator[Requirement]:
    """`requirement` and all that it needs on this machine, by what the installed packages say of themselves."""
    yield requirement
    for extra in {"", *requirement.extras}:
        part = (canonicalize_name(requirement.name), extra)
        if part not in seen:
            seen.add(part)
            for line in requires(requirement.name) or []:
                further = Requirement(line)
                if further.marker is None or further.marker.evaluate({"extra": extra}):
                    yield from needed(further, seen)


@pytest.mark.parametrize("file", NAMED)
def test_each_name_is_listed_once_and_pinned(file: str) -> None:
    names = [canonicalize_name(Requirement(line).name) for line in NAMED[file]]
    assert len(set(names)) == len(names)
    assert set(names) <= set(pins(file)) | set(TORCH)


@pytest.mark.parametrize("file", NAMED)
def test_each_pin_has_its_hashes(file: str) -> None:
    blocks = re.split(r"^(?=\S)", (ROOT / "builder" / file).read_text("utf-8"), flags=re.MULTILINE)
    hashed = [block for block in blocks if re.search(r"--hash=sha256:[0-9a-f]{64}\b", block)]
    assert len(hashed) == len(pins(file))
    assert "torch" not in pins(file)


def test_everything_needed_is_pinned_to_an_accepted_version() -> None:
    named = [Requirement(line) for lines in NAMED.values() for line in lines]
    seen: set[tuple[str, str]] = set()
    for requirement in (further for name in named for further in needed(name, seen)):
        name = canonicalize_name(requirement.name)
        assert Version(ALL[name]) in OVERRIDES.get(name, requirement).specifier, requirement


def test_gradio_is_the_one_that_the_gateway_is_written_for() -> None:
    """Asked without a bound, the resolvers take version 3, which asks for little."""
    assert Version(pins("requirements-gateway.txt")["gradio"]).major == 6


IMPORTS = """
import sys

class Absent:
    def find_spec(self, name, *_):
        if name.partition(".")[0] in sys.argv:
            raise ModuleNotFoundError(name=name)

sys.meta_path.insert(0, Absent())
import videoworker.cli
"""


@pytest.mark.parametrize("file", ["requirements.txt", "requirements-gateway.txt"])
def test_a_command_starts_on_what_either_image_has(file: str) -> None:
    """Each image has all commands, but not the packages of the other's."""
    there = {"videoworker", *pins(file)}
    owners = packages_distributions().items()
    absent = [module for module, names in owners if not any(canonicalize_name(name) in there for name in names)]
    assert "torch" in absent
    subprocess.run([sys.executable, "-c", IMPORTS, *absent], check=True)


def test_one_name_has_one_version_in_all_files() -> None:
    worker = pins("requirements.txt")
    for file in ("requirements-gateway.txt", "requirements-test.txt", "constraints-torch.txt"):
        pinned = pins(file)
        assert {name: pinned[name] for name in pinned.keys() & worker} == {
            name: worker[name] for name in pinned.keys() & worker
        }


def test_what_is_installed_is_what_is_pinned() -> None:
    pinned = {name: Version(pin).public for name, pin in (HASHED | TORCH).items()}
    assert {name: Version(version(name)).public for name in pinned} == pinned


def test_torchs_declared_needs_are_those_of_every_build() -> None:
    (said,) = PROJECT["tool"]["uv"]["dependency-metadata"]
    everywhere = {line for line in map(Requirement, requires("torch") or []) if line.marker is None}
    assert {str(line) for line in everywhere} == set(said["requires-dist"])


def wheel(folder: Path, name: str, number: str, *needs: str) -> None:
    """A package without content."""
    info = f"{name}-{number}.dist-info"
    with ZipFile(folder / f"{name}-{number}-py3-none-any.whl", "w") as file:
        metadata = [
            "Metadata-Version: 2.1",
            f"Name: {name}",
            f"Version: {number}",
            *(f"Requires-Dist: {n}" for n in needs),
        ]
        file.writestr(f"{info}/METADATA", "\n".join(metadata) + "\n")
        file.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr(f"{info}/RECORD", "")


PYPROJECT = """
[project]
name = "worker"
version = "1"
dependencies = ["direct", "torch"]

[dependency-groups]
gateway = ["direct", "page"]
test = ["check"]

[[tool.uv.dependency-metadata]]
name = "torch"
requires-dist = ["everywhere"]
"""


def test_the_command_pins_and_moves_no_pin_untold(tmp_path: Path) -> None:
    wheels, checkout = tmp_path / "wheels", tmp_path / "checkout"
    (checkout / ".venv").mkdir(parents=True)
    (checkout / ".venv" / "bin").symlink_to(Path(sys.executable).parent)
    (checkout / "builder").mkdir()
    (checkout / "pyproject.toml").write_text(PYPROJECT)
    (checkout / "builder" / "requirements-torch.txt").write_text("torch==2.0\n")
    wheels.mkdir()
    for name, *needs in (
        ("direct", "deep"),
        ("deep",),
        ("check", "deep"),
        ("page", "deep"),
        ("everywhere",),
        ("cuda",),
    ):
        wheel(wheels, name, "1.0", *needs)
    wheel(wheels, "torch", "2.0", "everywhere", "cuda")
    wheel(wheels, "torch", "3.0", "everywhere", "cuda")
    shutil.copy(ROOT / "builder" / "lock", checkout / "builder")
    of_here: list[str | Path] = [checkout / "builder" / "lock", "--no-index", "--find-links", wheels]
    of_here += ["--cache-dir", tmp_path / "cache"]

    def lock(*options: str) -> dict[str, dict[str, str]]:
        subprocess.run([*of_here, *options], check=True, timeout=300)
        files = [*NAMED, "constraints-torch.txt"]
        assert all("--hash=sha256:" in (checkout / "builder" / file).read_text() for file in NAMED)
        return {file: pins(checkout / "builder" / file) for file in files}

    old = {
        "requirements.txt": {"deep": "1.0", "direct": "1.0", "everywhere": "1.0"},
        "requirements-gateway.txt": {"deep": "1.0", "direct": "1.0", "page": "1.0"},
        "requirements-test.txt": {"check": "1.0", "deep": "1.0"},
        "constraints-torch.txt": {"cuda": "1.0", "everywhere": "1.0"},
    }
    assert lock() == old
    for name in ("deep", "cuda"):
        wheel(wheels, name, "1.1")
    assert lock() == old
    assert lock("--upgrade") == {
        "requirements.txt": old["requirements.txt"] | {"deep": "1.1"},
        "requirements-gateway.txt": old["requirements-gateway.txt"] | {"deep": "1.1"},
        "requirements-test.txt": old["requirements-test.txt"] | {"deep": "1.1"},
        "constraints-torch.txt": old["constraints-torch.txt"] | {"cuda": "1.1"},
    }
