"""Delivery as a file."""

from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pytest

from tests.delivery import videos
from videoworker.delivery import destinations
from videoworker.errors import Code, JobError
from videoworker.origin import manifest_beside
from videoworker.settings import Settings
from videoworker.watch import Watch


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(output_dir=tmp_path / "made here")


def finished(tmp_path: Path, name: str, content: bytes) -> Path:
    path = tmp_path / name
    path.write_bytes(content)
    return path


def delivered(path: Path, settings: Settings) -> str:
    chosen = destinations.destination_for({"id": "job-1"}, settings, Watch("job-1", lambda _: None, 1000.0))
    return chosen.deliver(path, videos.result(path)).video.url


def file_at(url: str) -> Path:
    parts = urlsplit(url)
    assert (parts.scheme, parts.netloc) == ("file", "")
    return Path(url2pathname(parts.path))


def test_the_url_leads_to_the_same_bytes_under_the_jobs_id(tmp_path: Path, settings: Settings) -> None:
    path = file_at(delivered(finished(tmp_path, "x.webm", b"video"), settings))
    assert path == tmp_path / "made here" / "job-1" / "video.webm"
    assert path.read_bytes() == b"video"


def test_manifest_lies_beside_its_video(tmp_path: Path, settings: Settings) -> None:
    path = finished(tmp_path, "x.webm", b"video")
    manifest_beside(path).write_bytes(b"manifest")
    served = settings.model_copy(update={"public_base_url": "https://example.org"})
    chosen = destinations.destination_for({"id": "job-1"}, served, Watch("job-1", lambda _: None, 1000.0))
    assert chosen.deliver(path, videos.result(path)).video.manifest_url == "https://example.org/files/job-1/video.c2pa"
    assert (tmp_path / "made here" / "job-1" / "video.c2pa").read_bytes() == b"manifest"


def test_a_relative_output_directory_gives_an_absolute_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    url = delivered(finished(tmp_path, "x.mp4", b"video"), Settings(output_dir=Path("outputs")))
    assert file_at(url) == tmp_path / "outputs" / "job-1" / "video.mp4"


def test_delivering_again_replaces_the_file_and_leaves_nothing_else(tmp_path: Path, settings: Settings) -> None:
    first = delivered(finished(tmp_path, "x.mp4", b"first"), settings)
    second = delivered(finished(tmp_path, "y.mp4", b"second"), settings)
    assert first == second
    assert file_at(second).read_bytes() == b"second"
    assert [path.name for path in file_at(second).parent.iterdir()] == ["video.mp4"]


def test_who_reads_the_old_file_while_a_new_one_comes_keeps_the_old(tmp_path: Path, settings: Settings) -> None:
    path = file_at(delivered(finished(tmp_path, "x.mp4", b"first"), settings))
    with path.open("rb") as reader:
        delivered(finished(tmp_path, "y.mp4", b"second"), settings)
        assert reader.read() == b"first"


def test_a_full_disk_is_an_error_that_may_pass_and_leaves_nothing(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", str(tmp_path))

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(JobError) as caught:
        delivered(finished(tmp_path, "x.mp4", b"video"), settings)
    assert caught.value.code is Code.DELIVERY_FAILED and caught.value.retryable
    assert caught.value.message == "The video was made but could not be written: No space left on device."
    assert list((tmp_path / "made here" / "job-1").iterdir()) == []


def test_under_an_endpoint_the_url_is_the_endpoints(tmp_path: Path) -> None:
    served = Settings(
        output_dir=tmp_path, public_base_url="https://videos.example.org", runpod_webhook_post_output="http://here"
    )
    url = delivered(finished(tmp_path, "x.webm", b"video"), served)
    assert url == "https://videos.example.org/files/job-1/video.webm"
    assert (tmp_path / "job-1" / "video.webm").read_bytes() == b"video"
