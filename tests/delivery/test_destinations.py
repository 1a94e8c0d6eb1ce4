"""Which destination is chosen, and which settings are refused at the start."""

from pathlib import Path
from typing import Any

import pytest

from videoworker.delivery import bucket_address, destinations
from videoworker.delivery.bucket import Bucket
from videoworker.delivery.destination import Destination
from videoworker.delivery.file import File
from videoworker.delivery.inline import Inline
from videoworker.errors import JobError
from videoworker.settings import Settings
from videoworker.watch import Watch

PLATFORM = {"runpod_webhook_post_output": "https://platform.example.org"}
WHOLE: dict[str, Any] = {
    "bucket_endpoint_url": "https://s3.example.org",
    "bucket_access_key_id": "key-of-ours",
    "bucket_secret_access_key": "hush-hush",
    "bucket_name": "films",
}


def chosen(**settings: Any) -> Destination:
    return destinations.destination_for({"id": "job-1"}, Settings(**settings), Watch("job-1", lambda _: None, 1000.0))


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        ({}, File),
        (PLATFORM, Inline),
        (PLATFORM | {"public_base_url": "http://127.0.0.1:8000"}, File),
        (WHOLE, Bucket),
        (PLATFORM | WHOLE, Bucket),
        (PLATFORM | WHOLE | {"delivery": "volume"}, File),
        (WHOLE | {"delivery": "file"}, File),
        ({"delivery": "inline"}, Inline),
    ],
)
def test_the_bucket_goes_first_and_delivery_before_all(settings: dict[str, Any], kind: type[Destination]) -> None:
    assert type(chosen(**settings)) is kind


@pytest.mark.parametrize("absent", WHOLE)
@pytest.mark.parametrize("how", ["absent", "empty"])
def test_half_a_bucket_does_not_start_and_the_message_names_the_rest(
    monkeypatch: pytest.MonkeyPatch, absent: str, how: str
) -> None:
    for name, value in WHOLE.items():
        monkeypatch.setenv(name.upper(), value)
    monkeypatch.delenv(absent.upper()) if how == "absent" else monkeypatch.setenv(absent.upper(), "")
    with pytest.raises(JobError) as caught:
        destinations.prove(Settings())
    assert caught.value.message == f"The bucket is only half set: {absent.upper()} must be set too."


def test_a_bucket_that_is_asked_for_must_be_set() -> None:
    with pytest.raises(JobError, match="BUCKET_ENDPOINT_URL, BUCKET_ACCESS_KEY_ID, BUCKET_SECRET_ACCESS_KEY must be"):
        destinations.prove(Settings(delivery="bucket"))


@pytest.mark.parametrize("url", ["s3.example.org", "ftp://s3.example.org", "https://", "https://key:pass@s3.org", "x"])
def test_what_is_no_service_is_refused_by_its_variables_name(url: str) -> None:
    with pytest.raises(JobError, match="BUCKET_ENDPOINT_URL must be the https://") as caught:
        destinations.prove(Settings(**WHOLE | {"bucket_endpoint_url": url}))
    assert "pass" not in caught.value.message


def test_nothing_that_is_shown_of_the_settings_holds_a_secret() -> None:
    settings = Settings(**WHOLE)
    shown = f"{settings!r} {settings} {settings.model_dump_json()} {bucket_address.from_settings(settings)!r}"
    assert "hush-hush" not in shown and "key-of-ours" not in shown


@pytest.mark.parametrize(
    ("url", "name", "found"),
    [
        ("https://s3.eu-central-1.amazonaws.com", "films", ("path", "films", "eu-central-1")),
        ("https://s3.amazonaws.com", "films", ("path", "films", "us-east-1")),
        ("https://films.s3.us-west-2.amazonaws.com", None, ("virtual", "films", "us-west-2")),
        ("https://films.s3.us-west-2.amazonaws.com", "films", ("virtual", "films", "us-west-2")),
        ("https://films.s3.fr-par.scw.cloud/", None, ("virtual", "films", "fr-par")),
        ("https://account.r2.cloudflarestorage.com", "films", ("path", "films", "us-east-1")),
        ("https://account.r2.cloudflarestorage.com/films", "films", ("path", "films", "us-east-1")),
        ("https://films.account.r2.cloudflarestorage.com", "films", ("virtual", "films", "us-east-1")),
        ("http://localhost:9000/films", None, ("path", "films", "us-east-1")),
    ],
)
def test_the_bucket_and_its_region_are_found_wherever_the_url_names_them(
    url: str, name: str | None, found: tuple[str, str, str]
) -> None:
    address = bucket_address.from_settings(Settings(**WHOLE | {"bucket_endpoint_url": url, "bucket_name": name}))
    assert (address.style, address.name, address.region) == found
    assert "films" not in address.endpoint_url


def test_a_service_under_a_path_keeps_it_and_a_named_region_goes_first() -> None:
    settings = WHOLE | {"bucket_endpoint_url": "https://example.org/storage/v1/s3", "bucket_region": "EU-RO-1"}
    address = bucket_address.from_settings(Settings(**settings))
    assert (address.endpoint_url, address.region) == ("https://example.org/storage/v1/s3", "EU-RO-1")


def test_what_is_chosen_for_one_job_asks_nobody(tmp_path: Path) -> None:
    assert type(chosen(**WHOLE, output_dir=tmp_path / "kept")) is Bucket
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["public_base_url", "bucket_public_base_url", "bucket_endpoint_url"])
@pytest.mark.parametrize("end", ["", "/", "//"])
def test_a_url_may_end_in_a_slash(monkeypatch: pytest.MonkeyPatch, name: str, end: str) -> None:
    monkeypatch.setenv(name.upper(), f"https://example.org/at{end}")
    assert getattr(Settings(), name) == "https://example.org/at"
