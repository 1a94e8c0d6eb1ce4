"""What holds for every test: none finds weights in the Hugging Face cache of whoever runs it, and none has a deadline,
since machines differ."""

import os
import tempfile

import hypothesis
import pytest

hypothesis.settings.register_profile("without deadline", deadline=None)
hypothesis.settings.load_profile("without deadline")


def pytest_configure(config: pytest.Config) -> None:
    folder = tempfile.TemporaryDirectory()
    config.add_cleanup(folder.cleanup)
    os.environ.pop("HF_HUB_CACHE", None)
    os.environ["HF_HOME"] = folder.name
