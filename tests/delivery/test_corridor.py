"""Whole jobs, made by a small checkpoint of random numbers, into a bucket and into an answer."""

import hashlib
import io
from dataclasses import replace
from pathlib import Path

import pytest
import requests
from PIL import Image

from bench.servers.store import Store
from builder.tiny import cogvideox
from tests.media import manifests
from tests.media.certificates import signer
from videoworker import job
from videoworker.engine.engine import Engine
from videoworker.errors import Code, JobError
from videoworker.origin import TRAINED_ALGORITHMIC_MEDIA
from videoworker.request import Container, Progress, Result, VideoRequest
from videoworker.settings import Settings
from videoworker.watch import Watch

REQUEST = VideoRequest("native", "a red circle", "sketch", num_frames=2, width=128, height=128, num_inference_steps=1)


def made(settings: Settings, request: VideoRequest = REQUEST, heard: list[Progress] | None = None) -> Result:
    """The result of a job that a fresh worker is given."""
    watch = Watch("job-1", ([] if heard is None else heard).append, 1000.0)
    return job.run({"id": "job-1"}, request, watch, engine=Engine(settings), settings=settings)


@pytest.fixture
def weights_dir(tmp_path: Path) -> Path:
    cogvideox.save(tmp_path / "weights" / "sketch", "sketch")
    return tmp_path / "weights"


@pytest.mark.needs_swift
def test_a_job_that_comes_again_is_answered_with_the_same_video_and_nothing_is_loaded(
    store: Store, tmp_path: Path, weights_dir: Path
) -> None:
    first = made(store.settings(tmp_path / "made", weights_dir=weights_dir))
    assert "deliver" in first.timings and first.timings["total"] >= first.timings["deliver"]
    content = requests.get(first.video.url, timeout=60).content
    assert len(content) == first.video.file_size
    assert not (tmp_path / "made").exists()

    heard: list[Progress] = []
    without_weights = store.settings(tmp_path / "made", weights_dir=tmp_path / "none")
    again = made(without_weights, heard=heard)
    assert replace(again.video, url="") == replace(first.video, url="")
    assert requests.get(again.video.url, timeout=60).content == content
    assert heard == []
    with pytest.raises(JobError) as caught:
        made(without_weights, replace(REQUEST, prompt="a blue circle"))
    assert caught.value.code is Code.MODEL_NOT_LOADED


@pytest.mark.needs_swift
@pytest.mark.parametrize("container", ["mp4", "webm"])
def test_marks_go_through_the_bucket(store: Store, tmp_path: Path, weights_dir: Path, container: Container) -> None:
    """What is downloaded is the signed file of the answer. Its first frame is marked too."""
    signing = {name.lower(): value for name, value in signer().settings().items()}
    settings = store.settings(tmp_path / "made", weights_dir=weights_dir, **signing)
    first = made(settings, replace(REQUEST, container=container))
    assert first.video.marks == ["iptc", "c2pa"]
    again = made(settings, replace(REQUEST, container=container))
    assert again.video.sha256 == first.video.sha256  # from the bucket: two signatures are never the same
    for video in (first.video, again.video):
        content = requests.get(video.url, timeout=60).content
        assert hashlib.sha256(content).hexdigest() == video.sha256
        sidecar = requests.get(video.manifest_url, timeout=60).content if video.manifest_url else None
        assert (sidecar is not None) is (container == "webm")
        assert manifests.read(content, container, sidecar)[0] == "Valid"
        changed = bytes([*content[:-1], content[-1] ^ 1])
        assert manifests.read(changed, container, sidecar)[0] == "Changed"
    picture = Image.open(io.BytesIO(store.read("made/here/job-1/video.jpg")))
    assert TRAINED_ALGORITHMIC_MEDIA in picture.info["xmp"].decode()


def test_what_will_not_fit_into_an_answer_is_refused_before_a_model_is_loaded(
    tmp_path: Path, weights_dir: Path
) -> None:
    settings = Settings(weights_dir=weights_dir, runpod_webhook_post_output="https://platform.example.org")
    heard: list[Progress] = []
    with pytest.raises(JobError) as caught:
        made(settings, replace(REQUEST, width=1920, height=1080, num_frames=400), heard)
    assert caught.value.code is Code.OUTPUT_TOO_LARGE
    assert "BUCKET_ENDPOINT_URL" in caught.value.message
    assert heard == []
    assert made(settings).video.url.startswith("data:video/mp4;base64,")
