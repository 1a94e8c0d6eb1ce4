"""Delivery as a file."""

from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pytest

from videoworker.delivery.file import deliver
from videoworker.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(output_dir=tmp_path / "made here")


def finished(tmp_path: Path, name: str, content: bytes) -> Path:
    path = tmp_path / name
    path.write_bytes(content)
    return path


def file_at(url: str) -> Path:
    parts = urlsplit(url)
    assert (parts.scheme, parts.netloc) == ("file", "")
    return Path(url2pathname(parts.path))


def test_the_url_leads_to_the_same_bytes_under_the_jobs_id(tmp_path: Path, settings: Settings) -> None:
    path = file_at(deliver(finished(tmp_path, "x.webm", b"video"), "job-1", settings))
    assert path == tmp_path / "made here" / "job-1" / "video.webm"
    assert path.read_bytes() == b"video"


def test_a_relative_output_directory_gives_an_absolute_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    url = deliver(finished(tmp_path, "x.mp4", b"video"), "job-1", Settings(output_dir=Path("outputs")))
    assert file_at(url) == tmp_path / "outputs" / "job-1" / "video.mp4"


def test_delivering_again_replaces_the_file_and_leaves_nothing_else(tmp_path: Path, settings: Settings) -> None:
    first = deliver(finished(tmp_path, "x.mp4", b"first"), "job-1", settings)
    second = deliver(finished(tmp_path, "y.mp4", b"second"), "job-1", settings)
    assert first == second
    assert file_at(second).read_bytes() == b"second"
    assert [path.name for path in file_at(second).parent.iterdir()] == ["video.mp4"]


def test_who_reads_the_old_file_while_a_new_one_comes_keeps_the_old(tmp_path: Path, settings: Settings) -> None:
    path = file_at(deliver(finished(tmp_path, "x.mp4", b"first"), "job-1", settings))
    with path.open("rb") as reader:
        deliver(finished(tmp_path, "y.mp4", b"second"), "job-1", settings)
        assert reader.read() == b"first"


def test_a_delivery_that_fails_leaves_nothing_behind(tmp_path: Path, settings: Settings) -> None:
    with pytest.raises(FileNotFoundError):
        deliver(tmp_path / "absent.mp4", "job-1", settings)
    assert list((tmp_path / "made here" / "job-1").iterdir()) == []


def test_under_an_endpoint_the_url_is_the_endpoints(tmp_path: Path) -> None:
    served = Settings(output_dir=tmp_path, public_base_url="https://videos.example.org")
    url = deliver(finished(tmp_path, "x.webm", b"video"), "job-1", served)
    assert url == "https://videos.example.org/files/job-1/video.webm"
    assert (tmp_path / "job-1" / "video.webm").read_bytes() == b"video"
