"""The image as docker's users meet it: its own command, in a container without rights."""

import base64
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import av
import pytest

from bench.servers.endpoint import TOKEN, eventually
from tests.endpoint.running_endpoint import EndpointHere
from tests.image.conftest import Run
from tests.image.container import Container, Image, Setup, running
from videoworker import __version__
from videoworker.endpoint.server import wire
from videoworker.endpoint.settings import EndpointSettings

pytestmark = [pytest.mark.needs_buildah, pytest.mark.needs_mmdebstrap, pytest.mark.needs_runc]

JOB = {"prompt": "a red circle moving right on a blue background", "seed": 42}


def frames(file: str | BytesIO) -> list[tuple[int, int]]:
    """Width and height of each frame of a video."""
    with av.open(file) as video:
        return [(frame.width, frame.height) for frame in video.decode(video=0)]


def test_its_command_makes_the_video_of_test_input_json(run: Run) -> None:
    container = run()
    code, printed, errors = container.ended()
    assert code == 0, errors
    assert "video.mp4  256x256, 25 frames" in printed.splitlines()[-1]
    assert frames(str(container.outputs / "local_test" / "video.mp4")) == [(256, 256)] * 25


@pytest.fixture
def endpoint(tmp_path: Path) -> Iterator[EndpointHere]:
    settings = EndpointSettings(database_url=f"sqlite:///{tmp_path}/jobs.db")
    with EndpointHere(settings, tmp_path / "files") as endpoint:
        yield endpoint


@pytest.fixture
def worker(endpoint: EndpointHere, run: Run) -> Container:
    """A worker of the endpoint."""
    platform = wire(endpoint.url, EndpointSettings())
    return run(network=True, MODEL="sketch", RUNPOD_POD_ID="image", RUNPOD_AI_API_KEY=TOKEN, **platform)


def test_it_serves_an_endpoint_and_finishes_its_job_when_stopped(endpoint: EndpointHere, worker: Container) -> None:
    made = endpoint.client.run_sync(JOB)
    assert made["video"]["model"] == "sketch"
    video = made["video_url"].removeprefix("data:video/mp4;base64,")
    assert frames(BytesIO(base64.b64decode(video))) == [(256, 256)] * 25

    assert worker.status["command"] == "python -u handler.py"
    assert worker.status["NSpid"].split()[-1] == "1"
    assert worker.status["Uid"].split() == ["1000"] * 4
    assert int(worker.status["CapEff"], 16) == 0

    job = endpoint.client.run(JOB)

    def is_running() -> None:
        assert endpoint.status(job.job_id)["status"] == "IN_PROGRESS"

    eventually(is_running)
    worker.signal("TERM")
    code, _, errors = worker.ended()
    assert code == 0, errors
    assert endpoint.status(job.job_id)["status"] == "COMPLETED"


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({"MODEL": "mochi"}, "videoworker fetch mochi"),
        (
            {"JOB_TIMEOUT_SECONDS": "soon", "PLACEMENT": "on the moon"},
            "JOB_TIMEOUT_SECONDS: Input should be a valid number",
        ),
        ({"RUNPOD_LOG_LEVEL": "loud"}, "RUNPOD_LOG_LEVEL"),
    ],
    ids=["missing weights", "wrong values", "wrong level of the log"],
)
def test_one_that_cannot_serve_says_why_in_one_line(run: Run, environment: dict[str, str], told: str) -> None:
    code, printed, errors = run(**environment).ended()
    assert code == 1
    assert printed == ""
    (line,) = errors.splitlines()
    assert told in line


def test_videoworker_is_a_command_in_it(image: Image, tmp_path: Path) -> None:
    command = Image({**image.config, "Cmd": ["videoworker", "models"]}, image.root)
    with running(command, tmp_path, Setup()) as container:
        code, printed, errors = container.ended()
    assert code == 0, errors
    assert "WEIGHTS_DIR: /app/weights/sketch" in printed


def test_it_says_its_version_and_licence(each_image: Image) -> None:
    labels = each_image.config["Labels"]
    assert labels["org.opencontainers.image.version"] == __version__
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert {"LICENSE", "NOTICE"} <= {file.name for file in (each_image.root / "app").iterdir()}


def test_nothing_of_its_making_stays(each_image: Image) -> None:
    root = each_image.root
    folders = [root / folder for folder in ("usr/local/sbin", "usr/local/bin", "usr/sbin", "usr/bin")]
    programs = {file.name for folder in (*folders, *root.glob("opt/*/bin")) for file in folder.iterdir()}
    assert "python" in programs
    assert not programs & {"cc", "gcc", "g++", "c++", "clang", "ld", "make", "nvcc"}
    assert not list(root.glob("opt/*/lib/python3.11/site-packages/pip*"))
    assert not any((root / folder).exists() for folder in ("root/.cache", "build", "opt/pip", "run/secrets"))
    assert not list((root / "tmp").iterdir())
    assert (root / "etc/pip.conf").stat().st_size == 0


def test_every_module_is_compiled(each_image: Image) -> None:
    modules = [file for folder in ("opt", "app") for file in (each_image.root / folder).rglob("*.py")]
    compiled = [file.parent / "__pycache__" / f"{file.stem}.cpython-311.pyc" for file in modules]
    missing = [file for file, one in zip(modules, compiled, strict=True) if not one.is_file()]
    of_torch = ["py312_intrinsics.py"]  # which this Python cannot read
    assert [file.name for file in missing] == (of_torch if (each_image.root / "opt/torch").exists() else [])


def test_only_what_it_runs_on_is_copied(image: Image) -> None:
    taken = {file.name for file in (image.root / "app").iterdir()}
    assert taken - {"__pycache__"} == {"LICENSE", "NOTICE", "handler.py", "test_input.json", "src", "weights"}
    assert {file.name for file in (image.root / "app/weights").iterdir()} == {"sketch", "sketch-foley"}
    owners = {file.name: file.stat().st_uid for file in (image.root / "app").iterdir()}
    assert [name for name, owner in owners.items() if owner] == ["weights"]
