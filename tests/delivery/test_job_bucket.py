"""The bucket that a job brings along in `s3Config`."""

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import trustme

from bench.servers.fault_proxy import FaultProxy
from bench.servers.store import ACCESS_KEY, SECRET, Store
from tests.delivery import videos
from videoworker.delivery import destinations
from videoworker.delivery.destination import Destination
from videoworker.errors import Code, JobError
from videoworker.settings import Settings
from videoworker.watch import Watch


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of the certificate authority that this test trusts; `server.pem` beside it is of this machine."""
    made = trustme.CA()
    made.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    made.cert_pem.write_to_path(tmp_path / "authority.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    return tmp_path / "authority.pem"


@pytest.fixture
def front(store: Store, authority: Path) -> Iterator[FaultProxy]:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(authority.with_name("server.pem"))
    with FaultProxy(store.port, tls) as proxy:
        yield proxy


def s3_config(url: str, name: str = "films", **changed: Any) -> dict[str, Any]:
    return {"endpointUrl": url, "bucketName": name, "accessId": ACCESS_KEY, "accessSecret": SECRET} | changed


def chosen(config: Any, settings: Settings) -> Destination:
    watch = Watch("job-1", lambda _: None, 1000.0)
    return destinations.destination_for({"id": "job-1", "input": {}, "s3Config": config}, settings, watch)


def refusal(config: Any, settings: Settings) -> JobError:
    with pytest.raises(JobError) as caught:
        chosen(config, settings)
    told = f"{caught.value.message} {caught.value.fields}"
    assert SECRET not in told and ACCESS_KEY not in told
    return caught.value


@pytest.mark.needs_swift
def test_the_video_goes_into_the_jobs_bucket_not_into_the_operators(
    store: Store, front: FaultProxy, authority: Path, tmp_path: Path
) -> None:
    settings = Settings(
        allow_job_s3_config=True, allow_private_urls=True, output_dir=tmp_path / "kept", bucket_prefix="operators"
    )
    path = videos.file(tmp_path)
    url = chosen(s3_config(front.url, store.name), settings).deliver(path, videos.result(path)).video.url
    assert requests.get(url, verify=str(authority), timeout=60).content == path.read_bytes()
    assert store.keys() == ["job-1/video.jpg", "job-1/video.json", "job-1/video.mp4"]


@pytest.mark.needs_swift
def test_a_bucket_in_a_private_network_is_never_connected_to(store: Store, front: FaultProxy) -> None:
    error = refusal(s3_config(front.url, store.name), Settings(allow_job_s3_config=True))
    assert (error.code, error.message) == (
        Code.INVALID_FIELD,
        "s3Config.endpointUrl must lead to a public address over https.",
    )
    assert front.connections == 0


@pytest.mark.needs_swift
def test_wrong_keys_are_told_before_a_video_is_made(store: Store, front: FaultProxy) -> None:
    settings = Settings(allow_job_s3_config=True, allow_private_urls=True)
    error = refusal(s3_config(front.url, store.name, accessSecret="guessed"), settings)
    assert (error.code, error.retryable) == (Code.INVALID_FIELD, False)
    assert "SignatureDoesNotMatch" in error.message and "guessed" not in error.message


def test_where_it_is_not_permitted_the_job_is_refused_not_delivered_elsewhere() -> None:
    error = refusal(s3_config("https://s3.example.org"), Settings())
    assert [problem.field for problem in error.fields] == ["s3Config"]


@pytest.mark.parametrize("nothing", [None, {}])
def test_an_empty_one_is_none(nothing: Any) -> None:
    assert chosen(nothing, Settings()).delivered_before(videos.REQUEST) is None


@pytest.mark.parametrize(
    ("changed", "fields"),
    [
        ({"endpointUrl": "http://s3.example.org"}, ["s3Config.endpointUrl"]),
        ({"endpointUrl": "https://me:pass@s3.example.org"}, ["s3Config.endpointUrl"]),
        ({"endpointUrl": 5}, ["s3Config.endpointUrl"]),
        ({"accessId": "", "accessSecret": None}, ["s3Config.accessId", "s3Config.accessSecret"]),
        ({"bucketName": "../films"}, ["s3Config.bucketName"]),
        ({"bucketName": None}, ["s3Config.bucketName"]),
    ],
)
def test_a_wrong_one_is_refused_by_the_names_of_its_fields(changed: dict[str, Any], fields: list[str]) -> None:
    error = refusal(s3_config("https://s3.example.org") | changed, Settings(allow_job_s3_config=True))
    assert error.code is Code.INVALID_FIELD
    assert [problem.field for problem in error.fields] == fields


def test_one_that_is_no_object_is_refused() -> None:
    assert refusal("s3://films", Settings(allow_job_s3_config=True)).code is Code.INVALID_FIELD
