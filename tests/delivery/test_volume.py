"""Delivery onto a network volume."""

import errno
import os
import tempfile
from pathlib import Path

import pytest

from tests.delivery import videos
from videoworker.delivery import destinations
from videoworker.errors import JobError
from videoworker.settings import Settings
from videoworker.watch import Watch


def test_the_video_lies_on_the_volume_also_on_the_platform(tmp_path: Path) -> None:
    settings = Settings(
        delivery="volume", network_volume=tmp_path, runpod_webhook_post_output="https://platform.example.org"
    )
    destinations.prove(settings)
    path = videos.file(tmp_path)
    chosen = destinations.destination_for({"id": "job-1"}, settings, Watch("job-1", lambda _: None, 1000.0))
    url = chosen.deliver(path, videos.result(path)).video.url
    on_volume = tmp_path / "videos" / "job-1" / "video.mp4"
    assert url == on_volume.as_uri()
    assert on_volume.read_bytes() == path.read_bytes()
    assert list((tmp_path / "videos").rglob("*")) == [on_volume.parent, on_volume]


def test_without_its_volume_the_worker_does_not_start_and_makes_no_folder_of_that_name(tmp_path: Path) -> None:
    with pytest.raises(JobError, match="Is a network volume attached"):
        destinations.prove(Settings(delivery="volume", network_volume=tmp_path / "runpod-volume"))
    assert list(tmp_path.iterdir()) == []


def test_a_volume_of_another_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests as root may write everywhere."""

    def refused(**_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(tempfile, "NamedTemporaryFile", refused)
    with pytest.raises(JobError, match=f"user {os.geteuid()} may not write .* chown {os.geteuid()} videos weights"):
        destinations.prove(Settings(delivery="volume", network_volume=tmp_path))
