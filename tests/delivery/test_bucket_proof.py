"""A bucket whose links would not work is found at the start, or mended there."""

import socket
from pathlib import Path
from typing import Any

import pytest
import requests

from bench.servers.store import Store
from tests.delivery import videos
from tests.delivery.odd_store import OddStore, Request, odd_store
from tests.watches import unheard, watch_that
from videoworker.delivery import bucket_address, destinations
from videoworker.errors import Code, JobError
from videoworker.settings import Settings
from videoworker.watch import Watch

RUNPOD = "https://s3api-eu-ro-1.runpod.io"


def settings(url: str, **changed: Any) -> Settings:
    whole: dict[str, Any] = {
        "bucket_endpoint_url": url,
        "bucket_access_key_id": "key-of-ours",
        "bucket_secret_access_key": "hush-hush",
        "bucket_name": "films",
    }
    return Settings(**whole | changed)


def refusal(settings: Settings) -> str:
    with pytest.raises(JobError) as caught:
        destinations.prove(settings)
    assert "hush-hush" not in caught.value.message and "key-of-ours" not in caught.value.message
    return caught.value.message


def link(settings: Settings, path: Path) -> str:
    destination = destinations.destination_for({"id": "job-1"}, settings, watch_that())
    return destination.deliver(path, videos.result(path)).video.url


@pytest.mark.needs_swift
def test_wrong_region(store: Store, tmp_path: Path) -> None:
    """The store answers presigned URLs for another region with 400, and names its own."""
    guessed, path = store.settings(tmp_path, bucket_region="eu-west-9"), videos.file(tmp_path)
    destinations.prove(guessed)
    assert requests.get(link(guessed, path), timeout=60).content == path.read_bytes()


def moved(request: Request) -> bool:
    if request.is_signed_for == "eu-north-7":
        return False
    return request.error(301, "PermanentRedirect", x_amz_bucket_region="eu-north-7")


def malformed(request: Request) -> bool:
    if request.is_signed_for == "eu-north-7":
        return False
    return request.error(400, "AuthorizationHeaderMalformed", "<Region>eu-north-7</Region>")


@pytest.mark.parametrize("odd", [moved, malformed])
def test_region_that_the_store_names(odd: Any, tmp_path: Path) -> None:
    path = videos.file(tmp_path)
    with odd_store(odd) as store:
        destinations.prove(settings(store.url))
        url = link(settings(store.url), path)
        assert "eu-north-7" in url
        assert requests.get(url, timeout=60).content == path.read_bytes()


def test_region_that_changes_nothing() -> None:
    """A store that names one region after another is not followed for ever."""

    def odd(request: Request) -> bool:
        return request.error(400, "AuthorizationHeaderMalformed", f"<Region>{request.is_signed_for}-1</Region>")

    with odd_store(odd) as store:
        assert "lies in the region" in refusal(settings(store.url))


@pytest.mark.parametrize(
    ("url", "moved_to"),
    [
        ("https://s3.amazonaws.com", "https://s3.eu-north-7.amazonaws.com"),
        ("https://s3.us-west-2.amazonaws.com", "https://s3.eu-north-7.amazonaws.com"),
        ("https://s3.dualstack.us-west-2.amazonaws.com", "https://s3.dualstack.eu-north-7.amazonaws.com"),
        ("https://s3-fips.us-west-2.amazonaws.com", "https://s3-fips.eu-north-7.amazonaws.com"),
        ("https://s3.example.org", "https://s3.example.org"),
    ],
)
def test_amazons_hosts(url: str, moved_to: str) -> None:
    """Each of Amazon's hosts serves one region."""
    assert bucket_address.from_settings(settings(url)).in_region("eu-north-7").endpoint_url == moved_to


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (400, b"<Error><Code>InvalidArgument</Code></Error>", "answers InvalidArgument (HTTP status 400)"),
        (403, b"", "nothing of use (HTTP status 403)"),
        (200, b"<html>log in</html>", "nothing of use (HTTP status 200)"),
    ],
)
def test_no_presigned_urls(status: int, body: bytes, told: str) -> None:
    """The store works for the worker, and its links do not work for a caller."""

    def odd(request: Request) -> bool:
        return request.is_presigned and request.respond(status, body)

    with odd_store(odd) as store:
        message = refusal(settings(store.url))
        assert "gives no presigned URLs" in message and told in message
        assert store.kept == {}


def test_runpods_volumes() -> None:
    """Their store has no presigned URLs, as its documentation says. Nobody is asked."""
    assert "DELIVERY=volume" in refusal(settings(RUNPOD))
    job = {"endpointUrl": RUNPOD, "bucketName": "films", "accessId": "a", "accessSecret": "b"}
    with pytest.raises(JobError, match="no presigned URLs") as caught:
        bucket_address.from_job(job, Settings(allow_job_s3_config=True))
    assert caught.value.code is Code.INVALID_FIELD
    public = bucket_address.from_settings(settings(RUNPOD, bucket_public_base_url="https://cdn.example.org"))
    assert public.name == "films"


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/films", None),
        ("/films/", None),
        ("/wrong", "HTTP status 404"),
        ("/hidden", None),
        ("/page", "something else"),
    ],
)
def test_public_base_url(path: str, told: str | None) -> None:
    """It must lead to the bucket. It may be closed to the worker."""

    def odd(request: Request) -> bool:
        if request.path.startswith("/hidden/"):
            return request.respond(403)
        return request.path.startswith("/page/") and request.respond(200, b"<html>")

    with odd_store(odd) as store:
        public = settings(store.url, bucket_public_base_url=f"{store.url}{path}")
        if told is None:
            destinations.prove(public)
        else:
            assert told in refusal(public)


@pytest.mark.parametrize(
    "url",
    [
        "https://films.s3.us-west-2.amazonaws.com",
        "https://films.s3.fr-par.scw.cloud",
        "https://s3.us-west-2.amazonaws.com/films",
        "https://films.0123456789abcdef0123456789abcdef.r2.cloudflarestorage.com",
        "https://films.nyc3.digitaloceanspaces.com",
        "http://localhost:9000/films/",
    ],
)
def test_two_names(url: str) -> None:
    message = refusal(settings(url, bucket_name="movies"))
    assert message == "BUCKET_NAME is movies, but BUCKET_ENDPOINT_URL is that of the bucket films."
    job = {"endpointUrl": url.replace("http://", "https://"), "bucketName": "movies", "accessId": "a"}
    with pytest.raises(JobError) as caught:
        bucket_address.from_job(job | {"accessSecret": "b"}, Settings(allow_job_s3_config=True))
    assert [problem.field for problem in caught.value.fields] == ["s3Config.bucketName"]


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"bucket_name": "fi lms"}, "no such bucket name"),
        ({"bucket_access_key_id": "key\nof"}, "a character that no HTTP request can hold"),
        ({"bucket_endpoint_url": "http://nowhere.invalid"}, "its host name is not known"),
    ],
)
def test_reason(changed: dict[str, str], told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is wrong with a setting is not told as a store that cannot be reached."""
    monkeypatch.setattr("videoworker.delivery.bucket_client.ATTEMPTS", 1)
    with odd_store() as store:
        assert told in refusal(settings(store.url, **changed))


def test_no_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("videoworker.delivery.bucket_client.ATTEMPTS", 1)
    with odd_store() as store:
        assert "does not speak TLS" in refusal(settings(store.url.replace("http:", "https:")))


def test_closed_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("videoworker.delivery.bucket_client.ATTEMPTS", 1)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        assert "cannot be reached" in refusal(settings(f"http://127.0.0.1:{free.getsockname()[1]}"))


def test_the_machines_aws_configuration(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It has no influence, however broken it is."""
    for name in ("PROFILE", "REGION", "DEFAULTS_MODE", "RETRY_MODE", "MAX_ATTEMPTS", "REQUEST_CHECKSUM_CALCULATION"):
        monkeypatch.setenv(f"AWS_{name}", "nothing")
    for name in ("CA_BUNDLE", "ENDPOINT_URL", "ENDPOINT_URL_S3", "DATA_PATH"):
        monkeypatch.setenv(f"AWS_{name}", "/nowhere")
    for name in ("USE_FIPS_ENDPOINT", "USE_DUALSTACK_ENDPOINT", "S3_USE_ARN_REGION"):
        monkeypatch.setenv(f"AWS_{name}", "true")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        (tmp_path / name).write_text("[default\nnonsense")
        monkeypatch.setenv(name, str(tmp_path / name))
    path = videos.file(tmp_path)
    with odd_store() as store:
        destinations.prove(settings(store.url))
        url = link(settings(store.url), path)
        assert url.startswith(store.url) and "us-east-1" in url
        assert requests.get(url, timeout=60).content == path.read_bytes()


ENDLESS = {
    "put": lambda request: request.command == "PUT" and request.endless(200, 0),
    "get": lambda request: request.command == "GET" and not request.is_presigned and request.endless(200, 0),
    "link": lambda request: request.is_presigned and request.endless(200, 0),
    "error": lambda request: request.command == "GET" and request.endless(404, 0),
    "delete": lambda request: request.command == "DELETE" and request.endless(200, 0),
}


@pytest.mark.parametrize("call", ENDLESS)
def test_endless_answer(call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No answer is read without a limit."""
    monkeypatch.setattr("videoworker.delivery.bucket_client.ATTEMPTS", 1)
    with odd_store(ENDLESS[call]) as store:
        assert "more bytes than S3 does" in refusal(settings(store.url))


@pytest.mark.parametrize("status", [200, 500])
def test_answer_that_drips(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cancel is heard while an answer comes byte by byte."""
    dripping: list[OddStore] = []

    def odd(request: Request) -> bool:
        dripping.append(request.server)
        return request.endless(status, 0.01)

    def clock() -> float:
        if dripping:
            watch.cancel.set()
        return 0.0

    watch = Watch("job-1", unheard, 1000.0, clock)
    with odd_store(odd) as store:
        destination = destinations.destination_for({"id": "job-1"}, settings(store.url), watch)
        with pytest.raises(JobError) as caught:
            destination.delivered_before(videos.REQUEST)
    assert caught.value.code is Code.CANCELLED
