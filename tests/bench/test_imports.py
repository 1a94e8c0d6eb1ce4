"""Who may know whom outside the package: tests look at builders and measurements, and never the other way."""

import ast
from pathlib import Path

import pytest

from tests.handler_process import ROOT

FILES = [path for folder in ("builder", "bench", "src") for path in sorted((ROOT / folder).rglob("*.py"))]
MAY_IMPORT = {
    "src": {"videoworker"},
    "builder": {"videoworker", "builder"},
    "bench": {"videoworker", "builder", "bench"},
}


def imported(path: Path) -> set[str]:
    """The packages that a file imports, wherever in the file."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").partition(".")[0])
    return names


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_import_points_upwards(path: Path) -> None:
    ours = imported(path) & {"videoworker", "builder", "bench", "tests"}
    assert ours <= MAY_IMPORT[path.relative_to(ROOT).parts[0]]
