"""Buckets that fail: what the caller is told, what is kept, and what is left in the bucket."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from bench.servers.fault_proxy import Fault, FaultProxy
from bench.servers.store import ACCESS_KEY, SECRET, Store
from tests.delivery import videos
from videoworker.delivery import destinations
from videoworker.delivery.destination import Destination
from videoworker.errors import Code, JobError
from videoworker.settings import Settings
from videoworker.watch import Watch

pytestmark = pytest.mark.needs_swift

MEBIBYTE = 2**20


@pytest.fixture
def proxy(store: Store) -> Iterator[FaultProxy]:
    with FaultProxy(store.port) as proxy:
        yield proxy


@pytest.fixture
def settings(store: Store, proxy: FaultProxy, tmp_path: Path) -> Settings:
    return store.settings(tmp_path / "kept", bucket_endpoint_url=proxy.url)


@pytest.fixture
def watch() -> Watch:
    return Watch("job-1", lambda _: None, 1000.0)


@pytest.fixture
def destination(settings: Settings, watch: Watch, monkeypatch: pytest.MonkeyPatch) -> Destination:
    monkeypatch.setattr("videoworker.delivery.bucket_client.ATTEMPTS", 2)
    return destinations.destination_for({"id": "job-1"}, settings, watch)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return videos.file(tmp_path)


@pytest.fixture
def large(tmp_path: Path) -> Path:
    return videos.file(tmp_path, num_bytes=40 * MEBIBYTE)


def failure(destination: Destination, path: Path) -> JobError:
    with pytest.raises(JobError) as caught:
        destination.deliver(path, videos.result(path))
    return caught.value


def test_a_bucket_that_is_overloaded_for_a_moment_is_asked_again(
    proxy: FaultProxy, destination: Destination, small: Path
) -> None:
    proxy.fail_once(Fault(status=503))
    url = destination.deliver(small, videos.result(small)).video.url
    assert requests.get(url, timeout=60).content == small.read_bytes()
    assert proxy.connections > 1


def test_a_bucket_that_dies_in_the_middle_of_an_upload_is_sent_the_rest_again(
    store: Store, proxy: FaultProxy, destination: Destination, large: Path
) -> None:
    proxy.fail_once(Fault(cut_after=3 * MEBIBYTE))
    destination.deliver(large, videos.result(large))
    stored = store.read("made/here/job-1/video.mp4")
    assert hashlib.sha256(stored).digest() == hashlib.sha256(large.read_bytes()).digest()
    assert proxy.sent_bytes > len(stored)


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (Fault(status=503), "it answers 503 (HTTP status 503)"),
        (Fault(cut_after=0), "it cannot be reached, or breaks off"),
    ],
    ids=["overloaded", "dying"],
)
def test_while_the_bucket_is_away_the_video_is_kept_and_the_error_says_as_what(
    store: Store,
    proxy: FaultProxy,
    destination: Destination,
    small: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    fault: Fault,
    told: str,
) -> None:
    proxy.fail_always(fault)
    error = failure(destination, small)
    assert (error.code, error.retryable) == (Code.DELIVERY_FAILED, True)
    assert error.message == (
        f"The video was made but the bucket does not take it: {told}. It is kept on the worker under the job id job-1."
    )
    [kept] = [path for path in (tmp_path / "kept").rglob("*") if path.is_file()]
    assert kept == tmp_path / "kept" / "job-1" / "video.mp4"
    assert kept.read_bytes() == small.read_bytes()
    assert store.keys() == []
    logged = "".join(capsys.readouterr())
    assert "the bucket does not take the video" in logged
    assert SECRET not in logged and ACCESS_KEY not in logged


def test_a_bucket_that_never_answers_is_not_waited_for(
    proxy: FaultProxy, settings: Settings, watch: Watch, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("videoworker.delivery.bucket_client.ATTEMPTS", 1)
    monkeypatch.setattr("videoworker.delivery.bucket_client.READ_SECONDS", 0.5)
    proxy.fail_always(Fault(is_silent=True))
    destination = destinations.destination_for({"id": "job-1"}, settings, watch)
    assert "it cannot be reached, or breaks off" in failure(destination, small).message


def test_an_upload_in_parts_that_dies_for_good_leaves_none_of_them(
    store: Store, proxy: FaultProxy, destination: Destination, large: Path, tmp_path: Path
) -> None:
    proxy.fail_always(Fault(cut_after=3 * MEBIBYTE))
    assert failure(destination, large).code is Code.DELIVERY_FAILED
    assert (store.keys(), store.open_uploads()) == ([], [])
    assert (tmp_path / "kept" / "job-1" / "video.mp4").stat().st_size == large.stat().st_size


def test_a_bucket_that_cannot_be_reached_at_all(
    store: Store, tmp_path: Path, small: Path, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("videoworker.delivery.bucket_client.ATTEMPTS", 1)
    with FaultProxy(store.port) as gone:
        settings = store.settings(tmp_path / "kept", bucket_endpoint_url=gone.url)
    destination = destinations.destination_for({"id": "job-1"}, settings, watch)
    assert "cannot be reached" in failure(destination, small).message
    with pytest.raises(JobError, match="cannot be reached"):
        destinations.prove(settings)


def test_where_the_video_cannot_be_kept_either_the_error_says_so(
    proxy: FaultProxy, destination: Destination, small: Path, tmp_path: Path
) -> None:
    (tmp_path / "kept").write_text("no folder")
    proxy.fail_always(Fault(status=503))
    assert failure(destination, small).message.endswith("It could not be kept on the worker either.")


def test_a_bucket_that_is_away_is_noticed_before_a_video_is_made(proxy: FaultProxy, destination: Destination) -> None:
    proxy.fail_always(Fault(status=503))
    with pytest.raises(JobError) as caught:
        destination.delivered_before(videos.REQUEST)
    assert caught.value.code is Code.DELIVERY_FAILED
    assert "does not say whether the job is done" in caught.value.message


@pytest.mark.parametrize("num_bytes", [7 * MEBIBYTE, 40 * MEBIBYTE], ids=["in one", "in parts"])
def test_a_cancel_in_the_middle_of_an_upload_ends_it_and_leaves_nothing(
    store: Store, proxy: FaultProxy, destination: Destination, watch: Watch, tmp_path: Path, num_bytes: int
) -> None:
    path = videos.file(tmp_path, num_bytes=num_bytes)
    proxy.after(MEBIBYTE, watch.cancel.set)
    assert failure(destination, path).code is Code.CANCELLED
    assert proxy.sent_bytes < num_bytes
    assert (store.keys(), store.open_uploads()) == ([], [])
    assert not (tmp_path / "kept").exists()


def test_a_cancel_after_the_last_byte_takes_the_video_back(
    store: Store, proxy: FaultProxy, destination: Destination, watch: Watch, small: Path
) -> None:
    proxy.after(small.stat().st_size, watch.cancel.set)
    assert failure(destination, small).code is Code.CANCELLED
    assert store.keys() == []


def test_a_cancel_ends_the_attempts_at_a_bucket_that_is_away(
    proxy: FaultProxy, destination: Destination, watch: Watch, small: Path
) -> None:
    proxy.fail_always(Fault(status=503))
    proxy.after(1, watch.cancel.set)
    assert failure(destination, small).code is Code.CANCELLED
    assert proxy.connections == 3  # one attempt of two; then both to take back what may have arrived


def test_an_upload_ends_with_the_jobs_time(store: Store, settings: Settings, small: Path) -> None:
    late = destinations.destination_for({"id": "job-1"}, settings, Watch("job-1", lambda _: None, 0.0))
    assert failure(late, small).code is Code.GENERATION_TIMEOUT
    assert store.keys() == []
