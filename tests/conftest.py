"""What holds for every test: none finds weights in the Hugging Face cache of whoever runs it, and none has a deadline,
since machines differ."""

import os
import tempfile
from collections.abc import Iterator

import hypothesis
import pytest

from videoworker.settings import settings

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
