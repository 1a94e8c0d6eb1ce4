"""What holds for every test: none finds weights in the Hugging Face cache of whoever runs it."""

import os
import tempfile

import pytest


def pytest_configure(config: pytest.Config) -> None:
    folder = tempfile.TemporaryDirectory()
    config.add_cleanup(folder.cleanup)
    os.environ.pop("HF_HUB_CACHE", None)
    os.environ["HF_HOME"] = folder.name
