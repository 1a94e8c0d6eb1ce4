"""Delivery inside the answer."""

import base64
import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.delivery import videos
from videoworker.apis import APIS
from videoworker.delivery import destinations
from videoworker.delivery.destination import Destination
from videoworker.delivery.inline import MOST_BYTES
from videoworker.errors import Code, JobError
from videoworker.origin import manifest_beside
from videoworker.settings import Settings
from videoworker.watch import Watch

RUNPODS_PAYLOAD_LIMIT = 10_000_000


@pytest.fixture
def destination() -> Destination:
    """That of a worker on the platform for which nothing else is set."""
    settings = Settings(runpod_webhook_post_output="https://platform.example.org")
    return destinations.destination_for({"id": "job-1"}, settings, Watch("job-1", lambda _: None, 1000.0))


@pytest.mark.parametrize("api", APIS)
def test_the_largest_video_comes_whole_in_an_answer_that_the_platform_takes(
    tmp_path: Path, destination: Destination, api: str
) -> None:
    path = videos.file(tmp_path, num_bytes=MOST_BYTES)
    destination.check_size(path.stat().st_size)
    result = videos.result(path, request=replace(videos.REQUEST, api=api, duration=0.25, num_frames=3))
    url = destination.deliver(path, result).video.url
    answer = APIS[api].answer(replace(result, video=replace(result.video, url=url)))
    assert len(json.dumps(answer)) < RUNPODS_PAYLOAD_LIMIT
    given = answer["file_url" if api == "hunyuanvideo-foley" else "video_url"]
    assert given.startswith("data:video/mp4;base64,")
    assert base64.b64decode(given.partition(",")[2]) == path.read_bytes()
    assert answer["video"]["url"] is None


def test_manifest_of_a_webm(tmp_path: Path, destination: Destination) -> None:
    path = videos.file(tmp_path, "webm")
    assert destination.deliver(path, videos.result(path)).video.manifest_url is None
    manifest_beside(path).write_bytes(b"manifest")
    url = destination.deliver(path, videos.result(path)).video.manifest_url
    assert url == f"data:application/c2pa;base64,{base64.b64encode(b'manifest').decode()}"


def test_a_larger_one_is_refused_with_the_way_out(destination: Destination) -> None:
    with pytest.raises(JobError) as caught:
        destination.check_size(MOST_BYTES + 1)
    assert caught.value.code is Code.OUTPUT_TOO_LARGE
    assert "7000001 bytes" in caught.value.message and "7000000" in caught.value.message
    assert "BUCKET_ENDPOINT_URL" in caught.value.message
    told = APIS["hunyuanvideo-1.5"].error(caught.value, "job-1")
    assert told["status_code"] == 413
