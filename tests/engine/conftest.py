"""Checkpoints of random numbers, small enough to be made and sampled in a moment, in the layout of the real ones."""

from collections.abc import Callable
from pathlib import Path

import pytest

from builder.tiny import cogvideox
from videoworker.settings import Settings

Checkpoint = Callable[[str], Path]


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
