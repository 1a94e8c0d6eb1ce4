"""What holds for every test.

None finds weights in the Hugging Face cache of whoever runs it, nor keeps timings beside the repository's. None has a
deadline, since machines differ. Each process of tests computes on one core.
"""

import gc
import itertools
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from xdist.scheduler import LoadScopeScheduling

from tests.forks import Forks, started
from videoworker.settings import Settings, settings

Checkpoint = Callable[[str], Path]

pytest_plugins = ["tests.databases"]

hypothesis.settings.register_profile("without deadline", deadline=None)
hypothesis.settings.load_profile("without deadline")


# Tests that share a slow fixture run in one process: those of a file, and those of each row here. The last row's use
# `forks`. What takes longest comes first, so that no core waits for it at the end.
_TOGETHER = (
    ("tests/image/",),
    ("tests/delivery/",),
    ("tests/endpoint/",),
    (
        *("tests/test_end_to_end.py", "tests/test_families.py", "tests/test_bad_inputs.py"),
        *("tests/worker/test_start.py", "tests/worker/test_download.py", "tests/worker/test_sound_alone.py"),
        *("tests/builder/test_train_sketch.py", "tests/engine/test_another_device.py"),
        "tests/engine/test_stopped_jobs.py",
        *("tests/commands/test_estimate.py", "tests/commands/test_convert.py"),
        "tests/commands/test_gateway.py",
    ),
)
_LONGEST_FIRST = (
    *itertools.chain(*_TOGETHER),
    *("tests/bench/test_faults.py", "tests/bench/test_gateway_faults.py"),
    *("tests/test_docs.py", "tests/families/", "tests/engine/"),
)


class Spread(LoadScopeScheduling):  # type: ignore[misc]  # pytest-xdist ships no types
    """Which tests are handed to one process together."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return next((row[0] for row in _TOGETHER if file.startswith(row)), file)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Spread:
    return Spread(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def place(item: pytest.Item) -> int:
        starts = (item.nodeid.startswith(longest) for longest in _LONGEST_FIRST)
        return next((index for index, is_it in enumerate(starts) if is_it), len(_LONGEST_FIRST))

    items.sort(key=place)


def pytest_configure(config: pytest.Config) -> None:
    os.environ["OMP_NUM_THREADS"] = "1"  # of torch, which is imported later, and of the processes that tests start
    os.environ["KEEP_TIMINGS"] = "false"
    gc.disable()  # what is imported stays
    folder = tempfile.TemporaryDirectory()
    config.add_cleanup(folder.cleanup)
    os.environ.pop("HF_HUB_CACHE", None)
    os.environ["HF_HOME"] = folder.name


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


@pytest.fixture
def private_allowed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Pictures may come from this machine, where there is no public address."""
    monkeypatch.setenv("ALLOW_PRIVATE_URLS", "true")
    settings.cache_clear()
    yield
    settings.cache_clear()


@pytest.fixture(scope="session")
def forks() -> Iterator[Forks]:
    with started() as forks:
        yield forks


@pytest.fixture(scope="session")
def cogvideox_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """Where the small checkpoint of one of CogVideoX's variants lies; each is made once."""
    from builder.tiny import cogvideox  # not by the process that only hands tests out

    folder = tmp_path_factory.mktemp("cogvideox")

    def made(variant: str) -> Path:
        if not (folder / variant).exists():
            cogvideox.save(folder / variant, variant)
        return folder / variant

    return made


@pytest.fixture(scope="session")
def image_checkpoint(cogvideox_checkpoint: Checkpoint) -> Path:
    """Of a model for text and pictures; it lies where the weights of `sketch` do."""
    return cogvideox_checkpoint("sketch")


@pytest.fixture
def tiny(image_checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings of a worker whose `sketch` is the small checkpoint."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    return Settings(weights_dir=image_checkpoint.parent)
