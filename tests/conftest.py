"""What holds for every test: none finds weights in the Hugging Face cache of whoever runs it, and none has a deadline,
since machines differ."""

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest

from builder.tiny import cogvideox
from videoworker.settings import Settings, settings

Checkpoint = Callable[[str], Path]

hypothesis.settings.register_profile("without deadline", deadline=None)
hypothesis.settings.load_profile("without deadline")


def pytest_configure(config: pytest.Config) -> None:
    folder = tempfile.TemporaryDirectory()
    config.add_cleanup(folder.cleanup)
    os.environ.pop("HF_HUB_CACHE", None)
    os.environ["HF_HOME"] = folder.name


@pytest.fixture
def private_allowed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Pictures may come from this machine, where there is no public address."""
    monkeypatch.setenv("ALLOW_PRIVATE_URLS", "true")
    settings.cache_clear()
    yield
    settings.cache_clear()


@pytest.fixture(scope="session")
def cogvideox_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """Where the small checkpoint of one of CogVideoX's variants lies; each is made once."""
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
