"""What the tests of the worker share."""

import logging
from collections.abc import Iterator

import pytest
import structlog

from videoworker.settings import Settings


@pytest.fixture(autouse=True)
def log_as_at_first() -> Iterator[None]:
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    structlog.reset_defaults()
    logging.captureWarnings(False)
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Those of a worker outside the platform, whatever this machine's environment says."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    return Settings()
