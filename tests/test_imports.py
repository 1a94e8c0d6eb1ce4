"""Who may know whom: the import rule of the design, read from the source."""

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src" / "videoworker"

# What everybody may know.
COMMON = {"effort", "request", "errors", "settings", "watch"}

# Room -> the rooms that it may import, beside the common ones. The package itself (its version) is everybody's.
MAY_KNOW = {
    "effort": set[str](),
    "request": set[str](),
    "errors": set[str](),
    "settings": set[str](),
    "watch": set[str](),
    "canvas": set[str](),
    "workspace": set[str](),
    "log_lines": set[str](),
    "origin": set[str](),
    "models": set[str](),
    "http": set[str](),
    "database": set[str](),
    "apis": {"models"},
    "planning": {"models", "canvas"},
    "weights": {"models"},
    "sampling": {"models", "canvas"},
    "families": {"sampling", "models", "canvas"},
    "engine": {"families", "sampling", "weights", "planning", "models", "canvas"},
    "media": {"canvas", "http", "origin"},
    "delivery": {"http", "origin"},
    "endpoint": {"http", "database"},
    "gateway": {"apis", "models", "planning", "http", "database", "delivery", "media"},
    "draft": {"engine", "media", "models", "origin", "planning"},
    "filming": {"draft", "engine", "media", "planning", "canvas", "origin"},
    "dubbing": {"draft", "engine", "families", "media", "planning", "origin"},
    "job": {"draft", "filming", "dubbing", "engine", "media", "delivery", "workspace"},
}
MAY_KNOW["commands"] = {
    "apis",
    "models",
    "planning",
    "weights",
    "engine",
    "endpoint",
    "gateway",
    "http",
    "database",
    "log_lines",
}
MAY_KNOW["worker"] = {"job", "engine", "media", "delivery", "apis", "workspace", "log_lines"}
MAY_KNOW["cli"] = {"commands"}

# What a room that runs without a GPU and without a network must not reach for. pydantic is no part of these.
TORCH = {"torch", "diffusers", "transformers", "accelerate"}
HEAVY = TORCH | {"numpy", "av", "PIL", "runpod"}
NETWORK = {"requests", "aiohttp", "httpx", "socket", "urllib.request", "http.client", "boto3", "runpod"}
MUST_NOT_IMPORT = {
    "apis": HEAVY | NETWORK,
    "effort": HEAVY | NETWORK,
    "request": HEAVY | NETWORK,
    "errors": HEAVY | NETWORK,
    "settings": HEAVY | NETWORK,
    "watch": HEAVY | NETWORK,
    "models": HEAVY | NETWORK,
    "planning": HEAVY | NETWORK,
    "weights": HEAVY,
    "http": HEAVY,
    "database": HEAVY | NETWORK,
    "endpoint": HEAVY,
    "gateway": HEAVY,
    "canvas": TORCH | NETWORK,
    "origin": HEAVY | NETWORK,
    "media": TORCH | {"runpod"},
    "delivery": TORCH | {"runpod"},
    "sampling": NETWORK,
    "families": NETWORK,
    "engine": NETWORK,
    "draft": TORCH | NETWORK,
    "filming": TORCH | NETWORK,
    "dubbing": TORCH | NETWORK,
    "job": TORCH | NETWORK,
}
EXCEPT = {name: {"torch"} for name in ("weights/convert.py", "weights/layouts/foley.py")}  # they rewrite torch's files


def imported(path: Path) -> set[str]:
    """The full dotted names that a file imports, wherever in the file."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def room(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


FILES = [path for path in sorted(SOURCE.rglob("*.py")) if path != SOURCE / "__init__.py"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_room_knows_only_the_rooms_it_may(path: Path) -> None:
    here = room(path)
    rooms = {name.split(".")[1] for name in imported(path) if name.startswith("videoworker.")}
    assert rooms - {here, "__version__"} <= MAY_KNOW[here] | COMMON


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_room_imports_no_package_that_is_not_its_business(path: Path) -> None:
    forbidden = MUST_NOT_IMPORT.get(room(path), set()) - EXCEPT.get(path.relative_to(SOURCE).as_posix(), set())
    reached = {name for name in imported(path) if any(f"{name}.".startswith(f"{wrong}.") for wrong in forbidden)}
    assert not reached


def test_the_entry_point_knows_only_the_worker() -> None:
    assert imported(SOURCE.parents[1] / "handler.py") == {"videoworker.worker.start.main"}


def test_every_file_opens_by_saying_what_it_owns() -> None:
    assert [path for path in FILES if not ast.get_docstring(ast.parse(path.read_text()))] == []
