"""The image without weights, built once, and how it is run."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.handler_process import ROOT
from tests.image import buildah
from tests.image.container import Container, running

Run = Callable[..., Container]


class Image:
    """`config` is what docker calls its configuration, `root` are its files, not to be written to."""

    def __init__(self, name: str, root: Path) -> None:
        self.name, self.root = name, root
        self.config: dict[str, Any] = buildah.inspect(name)


@pytest.fixture(scope="session")
def store() -> Iterator[None]:
    with buildah.store():
        yield


@pytest.fixture(scope="session")
def image(store: None) -> Iterator[Image]:
    name = buildah.build(ROOT, "localhost/worker")
    with buildah.mounted(name) as root:
        yield Image(name, root)


@pytest.fixture
def run(image: Image, tmp_path: Path) -> Iterator[Run]:
    """Starts a container of the image; see `running`. It ends with the test."""
    with ExitStack() as stack:

        def run_one(*words: str, network: bool = False, **environment: str) -> Container:
            folder = tmp_path / "container"
            folder.mkdir()
            return stack.enter_context(
                running(image.config, image.root, folder, *words, network=network, **environment)
            )

        yield run_one
