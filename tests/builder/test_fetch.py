"""What an image's build fetches, in a process of its own, with no more of the worker than the Dockerfile copies. The
fetching itself is in tests/commands/test_fetch.py, and the build with it in tests/image."""

import os
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import distribution
from pathlib import Path

import pytest

from builder import tiny
from builder.tiny import foley
from tests.builder.weights_stage import copy_stage
from tests.commands.hub import serving
from tests.handler_process import ROOT, environment
from videoworker.models.foley import FOLEY_XXL
from videoworker.models.hunyuanvideo import HUNYUANVIDEO
from videoworker.models.mochi import MOCHI
from videoworker.weights.verify import verify

Fetch = Callable[..., subprocess.CompletedProcess[str]]

NO_HUB = "http://127.0.0.1:9"  # a port where nothing listens


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stage")
    copy_stage(ROOT, folder)
    return folder


@pytest.fixture
def fetch(stage: Path) -> Fetch:
    """Runs the command in the stage's folder. The installed packages are there, and the installed worker is not."""

    def run(
        to: Path, model: str, variant: str = "", *options: str, hub: str = NO_HUB, accepted: str = "false"
    ) -> subprocess.CompletedProcess[str]:
        arguments = ["--model", model, "--variant", variant, "--to", str(to), *options]
        command = [sys.executable, "-S", "-m", "builder.fetch", *arguments]
        packages = str(distribution("typer").locate_file(""))
        settings = environment(HF_ENDPOINT=hub, ACCEPT_TENCENT_LICENSE=accepted)
        there = settings | {"PYTHONPATH": f"{stage}{os.pathsep}{packages}"}
        return subprocess.run(command, cwd=stage, env=there, capture_output=True, text=True, timeout=300, check=False)

    return run


def test_the_copied_files_fetch_a_checkpoint(fetch: Fetch, tmp_path: Path) -> None:
    model = MOCHI
    tiny.save(model, tmp_path / "repository")
    with serving({model.checkpoint.repository: tmp_path / "repository"}) as hub:
        done = fetch(tmp_path / "weights", model.name, hub=hub.url)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "weights" / model.checkpoint.folder / "model_index.json").is_file()


@pytest.mark.parametrize("options", [[], ["--sound"]], ids=["alone", "beside a video model"])
def test_the_copied_files_fetch_a_sound_model(fetch: Fetch, tmp_path: Path, options: list[str]) -> None:
    """Beside what is there. It is converted on the way."""
    checkpoint = foley.checkpoint_of("xl")
    foley.publish(tmp_path / "hub", "xl")
    (tmp_path / "weights" / "mochi").mkdir(parents=True)
    with serving({origin.repository: tmp_path / "hub" / origin.folder for origin in checkpoint.origins}) as hub:
        done = fetch(tmp_path / "weights", "foley", "xl", *options, hub=hub.url, accepted="true")
    assert done.returncode == 0, done.stderr
    verify(checkpoint, tmp_path / "weights" / checkpoint.folder)
    assert (tmp_path / "weights" / "mochi").is_dir()


@pytest.mark.parametrize("model", ["", "sketch"])
def test_nothing_is_fetched_for_no_model_and_for_one_that_ships(fetch: Fetch, tmp_path: Path, model: str) -> None:
    done = fetch(tmp_path / "weights", model)
    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "weights").iterdir()) == []


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (("muchi", ""), "MODEL: 'muchi' is not one of hunyuanvideo-1.5, "),
        (("foley", "xs"), "MODEL_VARIANT: 'xs' is not one of xxl, xl"),
        (("cogvideox", "5b,6b"), "MODEL_VARIANT: '6b' is not one of 2b, 5b, "),
        (("mochi", "720p"), "MODEL_VARIANT: '720p' is no variant: mochi has none"),
        (("", "5b"), "MODEL_VARIANT: '5b' of no MODEL"),
        (("mochi", "", "--sound"), "SOUND_MODEL: 'mochi' is not one of foley"),
        (("foley", "xs", "--sound"), "SOUND_MODEL_VARIANT: 'xs' is not one of xxl, xl"),
        (("", "xl", "--sound"), "SOUND_MODEL_VARIANT: 'xl' of no SOUND_MODEL"),
    ],
)
def test_a_name_that_there_is_not_ends_the_build_with_one_line(
    fetch: Fetch, tmp_path: Path, asked: tuple[str, ...], told: str
) -> None:
    done = fetch(tmp_path, *asked)
    assert done.returncode == 1
    assert done.stderr.startswith(told) and len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("accepted", ["", "false"])
def test_a_licence_that_is_not_accepted_ends_the_build(fetch: Fetch, tmp_path: Path, accepted: str) -> None:
    done = fetch(tmp_path, "hunyuanvideo", accepted=accepted)
    assert (done.returncode, done.stderr) == (1, f"{HUNYUANVIDEO.checkpoint.refusal}\n")
    done = fetch(tmp_path, "foley", "", "--sound", accepted=accepted)
    assert (done.returncode, done.stderr) == (1, f"{FOLEY_XXL.checkpoint.refusal}\n")


def test_an_accepted_licence(fetch: Fetch, tmp_path: Path) -> None:
    """The hub is asked then."""
    done = fetch(tmp_path, "hunyuanvideo", accepted="true")
    assert done.stderr.startswith("The weights of hunyuanvideo could not be fetched (ConnectError")


def test_an_unreachable_hub_ends_the_build_with_the_reason(fetch: Fetch, tmp_path: Path) -> None:
    done = fetch(tmp_path, "mochi")
    assert done.returncode == 1
    assert done.stderr.startswith("The weights of mochi could not be fetched (ConnectError")
