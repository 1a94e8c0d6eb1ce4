"""Delivery into a bucket of a real S3 server, read back by clients that know nothing of the worker."""

import datetime
import hashlib
import io
import json
import socket
import ssl
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
import trustme
from botocore.auth import S3SigV4QueryAuth
from PIL import Image

from bench.servers.fault_proxy import FaultProxy
from bench.servers.store import SECRET, Store
from tests.delivery import videos
from videoworker.apis import APIS
from videoworker.delivery import destinations
from videoworker.delivery.destination import Destination
from videoworker.errors import JobError
from videoworker.settings import Settings
from videoworker.watch import Watch

pytestmark = pytest.mark.needs_swift

MEBIBYTE = 2**20
KEYS = ["made/here/job-1/video.jpg", "made/here/job-1/video.json", "made/here/job-1/video.mp4"]


def destination(settings: Settings, job_id: str = "job-1") -> Destination:
    return destinations.destination_for({"id": job_id}, settings, Watch(job_id, lambda _: None, 1000.0))


@pytest.fixture
def settings(store: Store, tmp_path: Path) -> Settings:
    return store.settings(tmp_path / "kept")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return videos.file(tmp_path)


@pytest.mark.parametrize("given", [None, "https://example.org/clip.mp4"])
def test_the_first_frame_is_marked_if_it_was_made(
    settings: Settings, store: Store, path: Path, given: str | None
) -> None:
    """That of a clip which was given may be of a recording."""
    result = videos.result(path, request=replace(videos.REQUEST, video=given))
    destination(settings).deliver(path, replace(result, video=replace(result.video, marks=["iptc"])))
    picture = Image.open(io.BytesIO(store.read(KEYS[0])))
    assert ("xmp" in picture.info) is (given is None)


def test_the_url_gives_the_video_to_whoever_has_it(settings: Settings, path: Path) -> None:
    url = destination(settings).deliver(path, videos.result(path)).video.url
    answer = requests.get(url, timeout=60)
    assert answer.content == path.read_bytes()
    assert answer.headers["Content-Type"] == "video/mp4"
    assert answer.headers["Content-Disposition"] == 'inline; filename="job-1.mp4"'
    assert answer.headers["Cache-Control"] == "max-age=31536000, immutable"
    assert (answer.headers["x-amz-meta-job-id"], answer.headers["x-amz-meta-seed"]) == ("job-1", "7")


def test_a_player_can_ask_for_a_part_of_the_video(settings: Settings, path: Path) -> None:
    url = destination(settings).deliver(path, videos.result(path)).video.url
    answer = requests.get(url, headers={"Range": "bytes=10-19"}, timeout=60)
    assert answer.status_code == 206
    assert answer.content == path.read_bytes()[10:20]


def test_a_url_that_was_changed_is_refused(settings: Settings, path: Path) -> None:
    url = destination(settings).deliver(path, videos.result(path)).video.url
    last = "0" if url[-1] != "0" else "1"
    assert requests.get(url[:-1] + last, timeout=60).status_code == 403
    assert requests.get(url.replace("video.mp4", "video.json"), timeout=60).status_code == 403


@pytest.mark.parametrize(("hours", "status"), [(1, 403), (3, 200)])
def test_a_url_ends_when_the_operator_says(
    settings: Settings, path: Path, monkeypatch: pytest.MonkeyPatch, hours: int, status: int
) -> None:
    two_hours_ago = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=2)
    sign = S3SigV4QueryAuth.add_auth

    def sign_then(*arguments: Any) -> None:
        with monkeypatch.context() as patch:
            patch.setattr("botocore.auth.get_current_datetime", lambda *_, **__: two_hours_ago)
            sign(*arguments)

    monkeypatch.setattr(S3SigV4QueryAuth, "add_auth", sign_then)
    lasting = settings.model_copy(update={"bucket_presign_ttl_seconds": hours * 3600})
    url = destination(lasting).deliver(path, videos.result(path)).video.url
    assert requests.get(url, timeout=60).status_code == status


def test_beside_the_video_lie_its_first_frame_and_its_report(store: Store, settings: Settings, path: Path) -> None:
    result = videos.result(path)
    destination(settings).deliver(path, result)
    assert store.keys() == KEYS
    picture = Image.open(io.BytesIO(store.read(KEYS[0])))
    assert (picture.format, picture.size) == ("JPEG", (videos.WIDTH, videos.HEIGHT))
    assert np.abs(np.asarray(picture).astype(int) - videos.COLOUR).max() <= 8
    text = store.read(KEYS[1]).decode()
    report = json.loads(text)
    assert report["video"]["sha256"] == result.video.sha256
    assert report["video"]["url"] == f"s3://{store.name}/{KEYS[2]}"
    assert (report["job_id"], report["timings"]) == ("job-1", {"denoise": 1.5, "total": 2.0})
    assert "secret" not in text and "Signature" not in text


def test_webm_is_delivered_as_webm(store: Store, settings: Settings, tmp_path: Path) -> None:
    path = videos.file(tmp_path, "webm")
    url = destination(settings).deliver(path, videos.result(path)).video.url
    answer = requests.get(url, timeout=60)
    assert (answer.headers["Content-Type"], answer.content) == ("video/webm", path.read_bytes())
    assert destination(settings).delivered_before(videos.REQUEST) is not None


def test_a_redelivered_job_is_answered_from_the_bucket_with_a_new_url(settings: Settings, path: Path) -> None:
    made = videos.result(path)
    assert destination(settings).delivered_before(made.request) is None
    destination(settings).deliver(path, made)
    again = destination(settings).delivered_before(made.request)
    assert again is not None
    assert replace(again, video=replace(again.video, url="")) == made
    assert requests.get(again.video.url, timeout=60).content == path.read_bytes()


def test_another_job_or_another_request_is_not_answered_from_the_bucket(settings: Settings, path: Path) -> None:
    destination(settings).deliver(path, videos.result(path))
    assert destination(settings, "job-2").delivered_before(videos.REQUEST) is None
    assert destination(settings).delivered_before(replace(videos.REQUEST, seed=8)) is None


@pytest.mark.parametrize("key", KEYS[1:])
def test_a_job_is_not_complete_without_its_report_and_its_video(
    store: Store, settings: Settings, path: Path, key: str
) -> None:
    destination(settings).deliver(path, videos.result(path))
    store.client.delete_object(Bucket=store.name, Key=key)
    assert destination(settings).delivered_before(videos.REQUEST) is None


def test_a_report_that_is_not_of_the_video_beside_it_does_not_count(
    store: Store, settings: Settings, path: Path
) -> None:
    destination(settings).deliver(path, videos.result(path))
    for body, metadata in ((b"another", {"sha256": "other"}), (b"foreign", {})):
        store.client.put_object(Bucket=store.name, Key=KEYS[2], Body=body, Metadata=metadata)
        assert destination(settings).delivered_before(videos.REQUEST) is None


def test_a_report_that_cannot_be_read_is_made_anew(store: Store, settings: Settings, path: Path) -> None:
    destination(settings).deliver(path, videos.result(path))
    store.client.put_object(Bucket=store.name, Key=KEYS[1], Body=b'{"job_id": 5}')
    assert destination(settings).delivered_before(videos.REQUEST) is None
    destination(settings).deliver(path, videos.result(path))
    assert destination(settings).delivered_before(videos.REQUEST) is not None


def test_a_worker_that_is_late_answers_with_what_another_delivered(
    store: Store, settings: Settings, path: Path, tmp_path: Path
) -> None:
    first, content = destination(settings).deliver(path, videos.result(path)), path.read_bytes()
    larger = videos.file(tmp_path, num_bytes=50_000)
    late = destination(settings).deliver(larger, videos.result(larger))
    assert late.at("") == first.at("") != videos.result(larger)
    assert requests.get(late.video.url, timeout=60).content == content
    assert store.keys() == KEYS


def test_delivering_again_replaces_what_is_not_complete(
    store: Store, settings: Settings, path: Path, tmp_path: Path
) -> None:
    destination(settings).deliver(path, videos.result(path))
    store.client.delete_object(Bucket=store.name, Key=KEYS[1])
    larger = videos.file(tmp_path, num_bytes=50_000)
    url = destination(settings).deliver(larger, videos.result(larger)).video.url
    assert requests.get(url, timeout=60).content == larger.read_bytes()
    assert store.keys() == KEYS


def test_a_large_video_goes_in_parts_and_arrives_whole(store: Store, settings: Settings, tmp_path: Path) -> None:
    large = videos.file(tmp_path, num_bytes=20 * MEBIBYTE)
    result = videos.result(large)
    url = destination(settings).deliver(large, result).video.url
    assert hashlib.sha256(requests.get(url, timeout=60).content).hexdigest() == result.video.sha256
    head = store.client.head_object(Bucket=store.name, Key=KEYS[2])
    assert head["ETag"].endswith('-3"')
    assert head["ContentType"] == "video/mp4"
    assert destination(settings).delivered_before(videos.REQUEST) is not None


def test_a_bucket_can_be_named_by_its_host(
    store: Store, tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask: Callable[..., Any] = socket.getaddrinfo

    def resolved(host: Any, *rest: Any, **named: Any) -> Any:
        is_here = isinstance(host, str) and host.endswith(".localhost")
        return ask("127.0.0.1" if is_here else host, *rest, **named)

    monkeypatch.setattr(socket, "getaddrinfo", resolved)
    url = f"http://{store.name}.localhost:{store.port}"
    settings = store.settings(tmp_path, bucket_endpoint_url=url)
    destinations.prove(settings)
    given = destination(settings).deliver(path, videos.result(path)).video.url
    assert given.startswith(f"{url}/made/here/job-1/video.mp4?")
    assert requests.get(given, timeout=60).content == path.read_bytes()
    assert store.keys() == KEYS


def test_a_bucket_can_be_named_by_its_urls_path(store: Store, tmp_path: Path, path: Path) -> None:
    url = f"http://127.0.0.1:{store.port}/{store.name}"
    settings = store.settings(tmp_path, bucket_endpoint_url=url, bucket_name=None, bucket_prefix="")
    given = destination(settings).deliver(path, videos.result(path)).video.url
    assert given.startswith(f"{url}/job-1/video.mp4?")
    assert requests.get(given, timeout=60).content == path.read_bytes()


def test_a_public_bucket_gives_urls_without_signature(store: Store, tmp_path: Path, path: Path) -> None:
    settings = store.settings(tmp_path, bucket_public_base_url="https://cdn.example.org/", bucket_prefix="a b")
    url = destination(settings).deliver(path, videos.result(path)).video.url
    assert url == "https://cdn.example.org/a%20b/job-1/video.mp4"
    again = destination(settings).delivered_before(videos.REQUEST)
    assert again is not None and again.video.url == url
    assert json.loads(store.read("a b/job-1/video.json"))["video"]["url"] == url


def test_over_tls_the_certificate_is_checked_and_everything_works(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large, authority = videos.file(tmp_path, num_bytes=9 * MEBIBYTE), trustme.CA()
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    bundle = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(bundle)
    with FaultProxy(store.port, tls) as front:
        settings = store.settings(tmp_path, bucket_endpoint_url=front.url)
        monkeypatch.setattr("videoworker.delivery.bucket_client.ATTEMPTS", 1)
        with pytest.raises(JobError, match="TLS certificate"):
            destinations.prove(settings)
        monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
        settings = store.settings(tmp_path, bucket_endpoint_url=front.url)
        destinations.prove(settings)
        url = destination(settings).deliver(large, videos.result(large)).video.url
        assert url.startswith(f"https://127.0.0.1:{front.port}/")
        assert requests.get(url, verify=str(bundle), timeout=60).content == large.read_bytes()
        assert destination(settings).delivered_before(videos.REQUEST) is not None


def test_a_proof_leaves_nothing_in_the_bucket(store: Store, settings: Settings) -> None:
    destinations.prove(settings)
    assert store.keys() == []


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"bucket_secret_access_key": "a-wrong-secret"}, "SignatureDoesNotMatch (HTTP status 403)"),
        ({"bucket_name": "nobodys-bucket"}, "NoSuchBucket (HTTP status 404)"),
    ],
)
def test_a_bucket_that_refuses_is_found_at_the_start(
    store: Store, tmp_path: Path, changed: dict[str, str], told: str
) -> None:
    with pytest.raises(JobError) as caught:
        destinations.prove(store.settings(tmp_path, **changed))
    assert told in caught.value.message
    assert SECRET not in caught.value.message and "a-wrong-secret" not in caught.value.message


@pytest.mark.parametrize(
    ("api", "field"),
    [
        ("hunyuanvideo-foley", "file_url"),
        ("hunyuanvideo", "video_url"),
        ("hunyuanvideo-1.5", "video_url"),
        ("local", "video_url"),
        ("cogvideox", "video_url"),
        ("native", "video_url"),
    ],
)
def test_every_api_gives_the_buckets_url_in_its_documented_field(
    settings: Settings, path: Path, api: str, field: str
) -> None:
    result = videos.result(path, request=replace(videos.REQUEST, api=api, duration=0.25, num_frames=3))
    url = destination(settings).deliver(path, result).video.url
    answer = APIS[api].answer(replace(result, video=replace(result.video, url=url)))
    assert requests.get(answer[field], timeout=60).content == path.read_bytes()
    assert answer["video"]["url"] == answer[field]
