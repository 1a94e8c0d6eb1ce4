"""A download hears cancel and time limit, leaves no process behind, and is continued by the next one."""

import math
import multiprocessing
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from builder.tiny import cogvideox
from tests.commands.hub import Hub, serving
from tests.handler_process import environment
from tests.watches import unheard, watch_that
from videoworker.errors import Code, JobError
from videoworker.models.cogvideox import COGVIDEOX
from videoworker.watch import Watch
from videoworker.weights.fetch_process import fetch_watched

CHECKPOINT = COGVIDEOX.checkpoint
HELD = "vae/diffusion_pytorch_model.safetensors"
PATIENCE = 300.0

# A process that downloads to the folder that it is given.
DOWNLOADING = """
import sys
from pathlib import Path
from tests.watches import watch_that
from videoworker.models.cogvideox import COGVIDEOX
from videoworker.weights.fetch_process import fetch_watched
fetch_watched(COGVIDEOX.checkpoint, Path(sys.argv[1]), watch_that())
"""


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("repository")
    cogvideox.save(folder, COGVIDEOX.variant)
    return folder


@pytest.fixture
def hub(repository: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub that sends one file only once that is released."""
    with serving({CHECKPOINT.repository: repository}) as hub:
        hub.held.add(HELD)
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        yield hub


def files_in(folder: Path) -> set[str]:
    return {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}


def watch_with(happens: Callable[[Watch], object], when: Callable[[], bool]) -> Watch:
    """A watch to which something happens at the first check at which `when` holds; its clock stands still."""
    happened: list[object] = []

    def clock() -> float:
        if not happened and when():
            happened.append(happens(watch))
        return 0.0

    watch = Watch("a", unheard, 1000.0, clock)
    return watch


def downloads() -> list[int]:
    """Processes that this one has spawned."""
    children = psutil.Process().children(recursive=True)
    return [child.pid for child in children if any("spawn_main" in word for word in child.cmdline())]


def test_cancel(hub: Hub, repository: Path, tmp_path: Path) -> None:
    """It ends the download while a file is under way. The next download takes the files that had come as they are."""
    partial = tmp_path / f".{CHECKPOINT.folder}.partial"
    others = files_in(repository) - {HELD}
    watch = watch_with(lambda watch: watch.cancel.set(), lambda: others <= files_in(partial))
    with pytest.raises(JobError) as caught:
        fetch_watched(CHECKPOINT, tmp_path, watch)
    assert caught.value.code is Code.CANCELLED
    assert downloads() == []
    assert not (tmp_path / CHECKPOINT.folder).exists()

    hub.released.set()
    hub.sent.clear()
    folder = fetch_watched(CHECKPOINT, tmp_path, watch_that())
    assert {file for file, _ in hub.sent} == {HELD}
    assert files_in(folder) == files_in(repository) | {"SHA256SUMS"}
    assert downloads() == []


def test_time_limit(hub: Hub, tmp_path: Path) -> None:
    watch = Watch("a", unheard, 1000.0, lambda: math.inf if hub.reached.is_set() else 0.0)
    with pytest.raises(JobError) as caught:
        fetch_watched(CHECKPOINT, tmp_path, watch)
    assert caught.value.code is Code.GENERATION_TIMEOUT
    assert downloads() == []


def test_process_that_dies(hub: Hub, tmp_path: Path) -> None:
    """The error says how to go on."""

    def kill(watch: Watch) -> None:
        (process,) = multiprocessing.active_children()
        process.kill()

    with pytest.raises(JobError) as caught:
        fetch_watched(CHECKPOINT, tmp_path, watch_with(kill, hub.reached.is_set))
    assert caught.value.code is Code.MODEL_NOT_LOADED
    assert caught.value.message == "The download of cogvideox ended early. To go on: videoworker fetch cogvideox"


def test_error_of_the_download(hub: Hub, tmp_path: Path) -> None:
    """It is told in the words that the command has for it."""
    hub.gated.add(CHECKPOINT.repository)
    with pytest.raises(JobError) as caught:
        fetch_watched(CHECKPOINT, tmp_path, watch_that())
    assert caught.value.code is Code.MODEL_NOT_LOADED
    assert caught.value.message.startswith("Accept the terms of cogvideox at huggingface.co/")
    assert downloads() == []


def test_killed_parent(hub: Hub, tmp_path: Path) -> None:
    """A download does not outlive the process that wants it."""
    command = [sys.executable, "-c", DOWNLOADING, str(tmp_path)]
    with subprocess.Popen(command, env=environment(HF_ENDPOINT=hub.url)) as parent:
        assert hub.reached.wait(PATIENCE)
        children = psutil.Process(parent.pid).children(recursive=True)
        parent.kill()
    assert children
    _, alive = psutil.wait_procs(children, PATIENCE)
    assert alive == []
