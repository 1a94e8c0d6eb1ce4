"""The gateway's image as docker's users meet it, and beside the worker's."""

import re
from importlib.metadata import distributions
from pathlib import Path

import pytest
import requests
from packaging.utils import canonicalize_name

from bench.servers.endpoint import PATIENCE, eventually
from bench.servers.worker import VIDEO, FakeWorker
from tests.builder.pinned import pins
from tests.endpoint.running_endpoint import EndpointHere
from tests.image.buildah import command
from tests.image.container import Image, Setup, running
from videoworker.endpoint.settings import EndpointSettings
from videoworker.gateway.apis import FORMS

pytestmark = [pytest.mark.needs_buildah, pytest.mark.needs_mmdebstrap, pytest.mark.needs_runc]

LARGEST_BYTES = 700e6


def test_it_serves_every_api_over_an_endpoint(gateway_image: Image, tmp_path: Path) -> None:
    """By its own command, without rights: pages, a video, and what is left when it is stopped."""
    settings = EndpointSettings(database_url=f"sqlite:///{tmp_path}/jobs.db")
    (tmp_path / "container").mkdir()
    with EndpointHere(settings, tmp_path / "files") as endpoint:
        given = {"ENDPOINT_URL": endpoint.url, "PORT": "0", "COGVIDEOX_TOKENS": "one that is long and random"}
        setup = Setup(environment=given, network=True)
        with running(gateway_image, tmp_path / "container", setup) as container:
            assert container.process.stdout is not None
            (url,) = re.findall(r"serving (\S+)", container.process.stdout.readline())

            def get(path: str) -> requests.Response:
                return requests.get(f"{url}{path}", timeout=PATIENCE)

            assert get("/ping").status_code == 200
            assert get("/").json()["apis"].keys() == FORMS.keys()
            assert "gradio" in get("/hunyuanvideo-foley/").text
            assert "</html>" in get("/hunyuanvideo/ui/").text and get("/hunyuanvideo/docs").ok

            body = {"prompt": "a star"}
            asked = requests.post(f"{url}/hunyuanvideo/api/generate", json=body, timeout=PATIENCE).json()
            worker = FakeWorker(endpoint, "w1")
            worker.finish(worker.take())

            def completed() -> str:
                status = get(f"/hunyuanvideo{asked['check_status_url']}").json()
                assert status["status"] == "completed"
                return str(status["video_url"])

            assert get(f"/hunyuanvideo{eventually(completed)}").content == VIDEO

            assert container.status["NSpid"].split()[-1] == "1"
            assert container.status["Uid"].split() == ["1000"] * 4
            assert int(container.status["CapEff"], 16) == 0
            container.signal("TERM")
            code, _, errors = container.ended()
    assert (code, errors) == (0, "")
    assert {"gateway.db", "videos"} <= {file.name for file in container.outputs.iterdir()}


def test_each_image_has_what_its_lock_says(image: Image, gateway_image: Image) -> None:
    """So the gateway's has no torch, and the worker's no Gradio."""
    assert installed(gateway_image) == pins("requirements-gateway.txt")
    assert installed(image) == pins("requirements.txt")
    assert not (gateway_image.root / "opt/torch").exists()


def installed(image: Image) -> dict[str, str]:
    """Versions by name, of what is in the virtual environment."""
    packages = distributions(path=[str(image.root / "opt/venv/lib/python3.11/site-packages")])
    return {canonicalize_name(package.name): package.version for package in packages}


@pytest.mark.parametrize(
    ("name", "words", "missing"),
    [("image", "gateway --api local", "fastapi_offline"), ("gateway_image", "serve", "standardwebhooks")],
)
def test_a_command_of_the_other_image(
    request: pytest.FixtureRequest, tmp_path: Path, name: str, words: str, missing: str
) -> None:
    image: Image = request.getfixturevalue(name)
    bare = Image({**image.config, "Entrypoint": ["videoworker"]}, image.root)
    with running(bare, tmp_path, Setup(tuple(words.split()))) as container:
        code, printed, errors = container.ended()
    assert (code, printed) == (1, "")
    assert errors == f"This command needs the package {missing}, which is not installed here.\n"


def test_it_is_small(image: Image, gateway_image: Image, capsys: pytest.CaptureFixture[str]) -> None:
    worker, gateway = (size(one) for one in (image, gateway_image))
    with capsys.disabled():
        print(f"\nunpacked: the worker's image {worker / 1e6:.0f} MB, the gateway's {gateway / 1e6:.0f} MB")
    assert gateway < LARGEST_BYTES


def size(image: Image) -> int:
    """Bytes of all its files."""
    return int(command("du", "--summarize", "--bytes", str(image.root)).split()[0])
