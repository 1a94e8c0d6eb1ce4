"""The size report, on trees whose sizes are known."""

import os
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import pytest
from typer.testing import CliRunner

from builder.image_size import app, sizes


def write(folder: Path, files: dict[str, int]) -> None:
    """Files of so many bytes."""
    for name, size in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(bytes(size))


def package(site_packages: Path, name: str, files: dict[str, int]) -> int:
    """Installs one, without files of bytecode in its list; returns its bytes."""
    write(site_packages, files)
    about = site_packages / f"{name}-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    listed = [*files, f"{about.name}/METADATA", f"{about.name}/RECORD"]
    (about / "RECORD").write_text("".join(f"{file},,\n" for file in listed))
    return sum((site_packages / file).stat().st_size for file in listed)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write(tmp_path, {"usr/bin/python": 500, "opt/venv/bin/activate": 30, "app/weights/sketch/vae/model": 7000})
    return tmp_path


def test_bytes_are_counted_by_package_with_its_bytecode(root: Path) -> None:
    site_packages = root / "opt/venv/lib/python3.11/site-packages"
    large = package(site_packages, "large", {"shared/large.so": 100_000, "large.py": 40})
    small = package(site_packages, "small", {"shared/small.py": 50, "../../../bin/small": 60})
    write(site_packages, {"__pycache__/large.cpython-311.pyc": 41, "shared/__pycache__/small.cpython-311.pyc": 51})
    write(site_packages, {"of_nobody.pth": 9})
    counted = sizes(root)
    assert counted["large"] == large + 41
    assert counted["small"] == small + 51
    assert (counted["usr/bin"], counted["app/weights"], counted["opt/venv"]) == (500, 7000, 30 + 9)
    assert sum(counted.values()) == large + small + 41 + 51 + 500 + 7000 + 30 + 9


def test_a_file_is_counted_once(root: Path) -> None:
    before = sum(sizes(root).values())
    os.link(root / "usr/bin/python", root / "usr/bin/python3")
    (root / "usr/bin/link").symlink_to("python")
    assert sum(sizes(root).values()) == before + len("python")


def test_wheels_are_counted_as_installed(tmp_path: Path) -> None:
    with ZipFile(tmp_path / "nvidia_cublas-13.0-py3-none-any.whl", "w", ZIP_DEFLATED) as wheel:
        wheel.writestr("nvidia/lib.so", bytes(10_000))
        wheel.writestr("nvidia/__init__.py", bytes(5))
    assert sizes(tmp_path) == {"nvidia-cublas": 10_005}


def test_the_report_adds_everything_up(root: Path) -> None:
    write(root, {"usr/lib/libc.so": 1_500_000, "etc/passwd": 900})
    printed = CliRunner().invoke(app, [str(root)]).output.splitlines()
    assert [line.split() for line in printed] == [
        ["1.5", "MB", "usr/lib"],
        ["0.0", "MB", "4", "others"],
        ["1.5", "MB", "in", "all"],
    ]
