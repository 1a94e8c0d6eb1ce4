"""The bucket to deliver into: from the operator's variables, or from a job's own `s3Config`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import BaseModel, Field, SecretStr, ValidationError

from videoworker.errors import Code, FieldProblem, JobError
from videoworker.settings import Settings

_DEFAULT_REGION = "us-east-1"  # of S3-compatible services without regions
# "s3.eu-central-1.amazonaws.com", "bucket.s3.fr-par.scw.cloud", "s3-fips.dualstack.us-west-2.amazonaws.com": the label
# after "s3", if it looks like a region
_REGION = re.compile(r"(?:^|\.)s3(?:-fips)?[.-](?:dualstack\.)?([a-z0-9]+(?:-[a-z0-9]+)+)\.")
_AMAZON = re.compile(r"\.amazonaws\.com(\.cn)?(:[0-9]+)?$")
_AMAZON_WITHOUT_REGION = "s3.amazonaws.com"
# Its documentation says that presigned URLs are not supported: docs.runpod.io/storage/s3-api
_RUNPOD_VOLUMES = re.compile(r"^s3api-[a-z0-9-]+\.runpod\.io(:[0-9]+)?$", re.IGNORECASE)
_HOST_AND_PATH = r"[A-Za-z0-9.-]+(:[0-9]+)?(/[A-Za-z0-9._~/-]*)?$"
_BUCKET_IN_HOST = re.compile(
    r"(.+)\.(?:s3[.-]|[0-9a-f]{32}\.(?:[a-z]+\.)?r2\.cloudflarestorage\.com|[a-z]+[0-9]\.digitaloceanspaces\.com)"
)


@dataclass(frozen=True)
class Address:
    """A bucket and how to reach it.

    `endpoint_url` is the service's, without the bucket. `style` says where the bucket's name stands in a URL: in its
    path or in its host. `public_base_url` does not end in a slash. If `public_only`, only public addresses may be
    connected to. `ca_file` has the certificate authorities that are trusted; None: the usual ones.
    """

    endpoint_url: str
    name: str
    style: Literal["path", "virtual"]
    region: str
    access_key_id: SecretStr
    secret_access_key: SecretStr
    presign_ttl_seconds: int
    prefix: str = ""
    public_base_url: str | None = None
    public_only: bool = False
    ca_file: Path | None = None

    @property
    def verify(self) -> str | bool:
        """How certificates are checked, as botocore is told it."""
        return True if self.ca_file is None else str(self.ca_file)

    def in_region(self, region: str) -> "Address":
        """The same bucket with requests signed for `region`. Amazon's hosts of one region do not serve another's."""
        url, split = self.endpoint_url, urlsplit(self.endpoint_url)
        if split.netloc == _AMAZON_WITHOUT_REGION:
            url = f"{split.scheme}://s3.{region}.amazonaws.com"
        elif _AMAZON.search(split.netloc):
            url = f"{split.scheme}://{split.netloc.replace(self.region, region)}"
        return replace(self, endpoint_url=url, region=region)


class S3Config(BaseModel):
    """RunPod's `s3Config` of a job."""

    endpoint_url: str = Field(alias="endpointUrl", pattern="^https://" + _HOST_AND_PATH)
    access_id: SecretStr = Field(alias="accessId", min_length=1)
    access_secret: SecretStr = Field(alias="accessSecret", min_length=1)
    bucket_name: str | None = Field(None, alias="bucketName", pattern=r"^[A-Za-z0-9._-]{3,255}$")


_HIDDEN = "(not shown)"
_ALLOWED = {
    "endpointUrl": "the https:// URL of an S3 service at a public address",
    "accessId": "an access key",
    "accessSecret": "the secret of that access key",
    "bucketName": "the name of a bucket; may be absent if endpointUrl names it",
}


_NO_LINKS = (
    "RunPod's store for network volumes gives no presigned URLs, so nobody could fetch a video from it. Attach the "
    "volume to the endpoint and set DELIVERY=volume, or use another store."
)


def is_set(settings: Settings) -> bool:
    """Whether a variable is set that only a bucket needs."""
    return any(_variables(settings).values()) or settings.bucket_name is not None


def from_settings(settings: Settings) -> Address:
    """The operator's bucket. Raises `JobError` naming the variables that are missing or wrong."""
    missing = [name.upper() for name, value in _variables(settings).items() if value is None]
    url, key, secret = settings.bucket_endpoint_url, settings.bucket_access_key_id, settings.bucket_secret_access_key
    if url is None or key is None or secret is None:
        raise JobError(Code.DELIVERY_FAILED, f"The bucket is only half set: {', '.join(missing)} must be set too.")
    if not re.match(f"https?://{_HOST_AND_PATH}", url):
        raise JobError(
            Code.DELIVERY_FAILED, "BUCKET_ENDPOINT_URL must be the https:// (or http://) URL of an S3 service."
        )
    split = urlsplit(url)
    if _RUNPOD_VOLUMES.match(split.netloc) and settings.bucket_public_base_url is None:
        raise JobError(Code.DELIVERY_FAILED, _NO_LINKS)
    named = _named_in(split)
    if None not in (named, settings.bucket_name) and named != settings.bucket_name:
        raise JobError(
            Code.DELIVERY_FAILED,
            f"BUCKET_NAME is {settings.bucket_name}, but BUCKET_ENDPOINT_URL is that of the bucket {named}.",
        )
    located = _located(split, settings.bucket_name)
    if located is None:
        raise JobError(Code.DELIVERY_FAILED, "The bucket is only half set: BUCKET_NAME must be set too.")
    return Address(
        *located,
        region=settings.bucket_region or _region(split),
        access_key_id=key,
        secret_access_key=secret,
        presign_ttl_seconds=settings.bucket_presign_ttl_seconds,
        prefix=(settings.bucket_prefix or "").strip("/"),
        public_base_url=settings.bucket_public_base_url,
        ca_file=settings.ssl_cert_file,
    )


def from_job(s3_config: Mapping[str, Any], settings: Settings) -> Address:
    """The bucket of a job's `s3Config`. Raises `JobError` INVALID_FIELD if that is wrong, or not allowed here. No value
    of it stands in the error."""
    if not settings.allow_job_s3_config:
        problem = FieldProblem("s3Config", _HIDDEN, "absent: this endpoint delivers into its own bucket only")
        raise JobError(Code.INVALID_FIELD, str(problem), (problem,))
    try:
        config = S3Config.model_validate(s3_config)
    except ValidationError as error:
        names = dict.fromkeys(str(wrong["loc"][0]) if wrong["loc"] else "endpointUrl" for wrong in error.errors())
        raise _refusal(*names) from error
    split = urlsplit(config.endpoint_url)
    if _RUNPOD_VOLUMES.match(split.netloc):
        raise JobError(Code.INVALID_FIELD, _NO_LINKS)
    located = _located(split, config.bucket_name)
    if located is None or _named_in(split) not in (None, located[1]):
        raise _refusal("bucketName")
    return Address(
        *located,
        region=_region(split),
        access_key_id=config.access_id,
        secret_access_key=config.access_secret,
        presign_ttl_seconds=settings.bucket_presign_ttl_seconds,
        public_only=not settings.allow_private_urls,
        ca_file=settings.ssl_cert_file,
    )


def _variables(settings: Settings) -> dict[str, object]:
    names = ("bucket_endpoint_url", "bucket_access_key_id", "bucket_secret_access_key")
    return {name: getattr(settings, name) for name in names}


def _refusal(*names: str) -> JobError:
    problems = tuple(FieldProblem(f"s3Config.{name}", _HIDDEN, _ALLOWED[name]) for name in names)
    return JobError(Code.INVALID_FIELD, "; ".join(map(str, problems)), problems)


def _named_in(split: SplitResult) -> str | None:
    """The bucket that a URL names by itself, in its host or as its whole path; None if it names none."""
    if (in_host := _BUCKET_IN_HOST.match(split.netloc)) is not None:
        return in_host[1]
    path = split.path.strip("/")
    return path if path and "/" not in path else None


def _located(split: SplitResult, name: str | None) -> tuple[str, str, Literal["path", "virtual"]] | None:
    """The service's URL, the bucket's name and the style; None if nothing names the bucket."""
    path = split.path.strip("/")
    name = name or _named_in(split)
    if name is None:
        return None
    if split.netloc.startswith(f"{name}."):
        return f"{split.scheme}://{split.netloc.removeprefix(f'{name}.')}", name, "virtual"
    if path == name:
        return f"{split.scheme}://{split.netloc}", name, "path"
    return f"{split.scheme}://{split.netloc}/{path}".rstrip("/"), name, "path"


def _region(split: SplitResult) -> str:
    found = _REGION.search(split.netloc)
    return found[1] if found else _DEFAULT_REGION
