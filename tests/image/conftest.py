"""The worker's image without weights and the gateway's, each built once, and how they are run."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.handler_process import ROOT
from tests.image import buildah
from tests.image.container import Container, Image, Setup, running

Run = Callable[..., Container]

# buildah mounts no stage that it takes from its cache, as that of pip would be for the second image.
ANEW = "--no-cache"


@pytest.fixture(scope="session")
def store() -> Iterator[None]:
    with buildah.store():
        yield


@pytest.fixture(scope="session")
def image(store: None) -> Iterator[Image]:
    name = buildah.build(ROOT, "localhost/worker", ANEW)
    with buildah.mounted(name) as root:
        yield Image(buildah.inspect(name), root)


@pytest.fixture(scope="session")
def gateway_image(store: None) -> Iterator[Image]:
    name = buildah.build(ROOT, "localhost/gateway", "--target=gateway", ANEW)
    with buildah.mounted(name) as root:
        yield Image(buildah.inspect(name), root)


@pytest.fixture(params=["image", "gateway_image"])
def each_image(request: pytest.FixtureRequest) -> Image:
    image: Image = request.getfixturevalue(request.param)
    return image


@pytest.fixture
def run(image: Image, tmp_path: Path) -> Iterator[Run]:
    """Starts a container of the image; see `running`. It ends with the test."""
    with ExitStack() as stack:

        def run_one(*words: str, network: bool = False, **environment: str) -> Container:
            folder = tmp_path / "container"
            folder.mkdir()
            return stack.enter_context(running(image, folder, Setup(words, environment, network)))

        yield run_one
