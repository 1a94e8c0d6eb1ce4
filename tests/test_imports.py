"""Who may know whom: the import rule of the design, read from the source."""

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src" / "videoworker"

# Room -> the rooms that it may import. The package itself (its version) is everybody's.
MAY_KNOW = {
    "errors": {"request"},
    "request": {"errors"},
    "settings": set[str](),
    "http": set[str](),
    "public_address": {"http"},
    "watch": {"request", "errors", "settings"},
    "workspace": set[str](),
    "log_lines": set[str](),
    "apis": {"request", "errors"},
    "models": {"request", "errors", "settings", "watch"},
    "media": {"request", "errors", "settings", "watch", "http"},
    "delivery": {"request", "errors", "settings", "watch", "public_address"},
    "engine": {"models", "request", "errors", "settings", "watch"},
    "endpoint": {"http"},
    "job": {"apis", "models", "engine", "media", "delivery", "request", "errors", "settings", "watch", "workspace"},
}
MAY_KNOW["worker"] = MAY_KNOW["job"] | {"job", "log_lines"}
MAY_KNOW["commands"] = MAY_KNOW["worker"] | {"endpoint"}
MAY_KNOW["cli"] = {"commands", "errors"}

# What a room that runs without a GPU and without a network must not reach for. pydantic is no part of these.
HEAVY = {"torch", "diffusers", "transformers", "accelerate", "numpy", "av", "PIL", "runpod"}
NETWORK = {"requests", "aiohttp", "httpx", "socket", "urllib.request", "http.client", "boto3", "runpod"}
MUST_NOT_IMPORT = {
    "apis": HEAVY | NETWORK,
    "request": HEAVY | NETWORK,
    "errors": HEAVY | NETWORK,
    "settings": HEAVY | NETWORK,
    "public_address": HEAVY | NETWORK,
    "watch": HEAVY | NETWORK,
    "http": HEAVY,
    "endpoint": HEAVY,
    "media": {"torch", "diffusers", "transformers", "runpod"},
    "delivery": {"torch", "diffusers", "transformers", "runpod"},
    "models": {"runpod"},
    "engine": {"runpod"},
    "job": {"runpod"},
}


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
    assert rooms - {here, "__version__"} <= MAY_KNOW[here]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_room_imports_no_package_that_is_not_its_business(path: Path) -> None:
    forbidden = MUST_NOT_IMPORT.get(room(path), set())
    reached = {name for name in imported(path) if any(f"{name}.".startswith(f"{wrong}.") for wrong in forbidden)}
    assert not reached


def test_the_entry_point_knows_only_the_worker() -> None:
    assert imported(SOURCE.parents[1] / "handler.py") == {"videoworker.worker.start.main"}


def test_every_file_opens_by_saying_what_it_owns() -> None:
    assert [path for path in FILES if not ast.get_docstring(ast.parse(path.read_text()))] == []
