"""An S3 server for all tests of this folder, and a fresh bucket for each."""

from collections.abc import Iterator

import pytest

from bench.servers.store import Store, new_bucket, swift
from videoworker.settings import Settings


@pytest.fixture(scope="session")
def s3_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with swift(tmp_path_factory.mktemp("swift")) as port:
        yield port


@pytest.fixture
def store(s3_port: int) -> Store:
    return new_bucket(s3_port)


@pytest.fixture(autouse=True)
def unconfigured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the worker is configured but what a test says."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)
