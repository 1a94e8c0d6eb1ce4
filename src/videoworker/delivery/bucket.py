"""Delivery into an S3 bucket.

A job has three objects under `<prefix>/<job_id>/`, written in this order: the video `video.<container>`, its first
frame `video.jpg`, its report `video.json`. It is complete if the report is there and has the digest of the video that
is there. If the same request comes again under the same id, it is answered from the report.

Ownership: boto3's threads read the file and check the watch. So a cancel ends an upload within one read of the file.
They change nothing that is shared.
"""

import hashlib
import io
import json
import socket
import uuid
from collections.abc import Callable
from dataclasses import asdict, replace
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import boto3
import structlog
from boto3.exceptions import Boto3Error
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from pydantic import BaseModel, ValidationError

from videoworker.delivery import first_frame
from videoworker.delivery.bucket_address import Address
from videoworker.delivery.destination import Destination
from videoworker.delivery.file import place
from videoworker.errors import Code, JobError
from videoworker.http.public_address import is_public
from videoworker.request import Result, Video, VideoRequest
from videoworker.watch import Watch

ATTEMPTS = 5  # of one call, with botocore's exponential backoff between them: about 8 seconds in all
CONNECT_SECONDS = 5.0
READ_SECONDS = 30.0

_MEBIBYTE = 2**20
_PART_BYTES = 8 * _MEBIBYTE  # S3 wants at least 5 MiB, and at most 10,000 parts: they hold any video
_THREADS = 4  # the SDK's own uploader takes one per core: hundreds on a large host

# The calls after which a delivery can still be ended without leaving an object.
_GIVEN_UP_AFTER = ("GetObject", "HeadObject", "PutObject", "CreateMultipartUpload", "UploadPart")

_ABSENT = (HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND)  # S3 answers 403 to those who may not list the bucket
_REFUSALS = (
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.NOT_FOUND,
)  # the same request would be refused again

_CACHE_CONTROL = "max-age=31536000, immutable"
_FAULTS = (BotoCoreError, ClientError, Boto3Error)

_log = structlog.get_logger()


class Report(BaseModel):
    """What lies beside the video: a job's result. Of its request only the digest is kept. `video.url` has no
    signature."""

    job_id: str
    request_sha256: str
    created_at: float
    finished_at: float
    timings: dict[str, float]
    video: Video


class Bucket(Destination):
    """One job's place in the bucket. If the bucket does not take the video, it is kept in `keep_folder`."""

    def __init__(self, address: Address, job_id: str, watch: Watch, keep_folder: Path) -> None:
        self._address, self._job_id, self._watch, self._keep_folder = address, job_id, watch, keep_folder
        self._client = _client(address, watch)

    def delivered_before(self, request: VideoRequest) -> Result | None:
        """Raises `JobError` DELIVERY_FAILED if the bucket does not say."""
        try:
            return self._delivered(request)
        except _FAULTS as error:
            message = f"The bucket does not say whether the job is done: {_reason(error)}."
            raise JobError(Code.DELIVERY_FAILED, message) from error

    def deliver(self, path: Path, result: Result) -> Result:
        """Another worker may have done the job meanwhile. What that one has answered with is not replaced."""
        video = result.video
        key, jpeg_key = self._key(f"video.{video.container}"), self._key("video.jpg")
        report = Report(
            job_id=result.job_id,
            request_sha256=_digest(result.request),
            created_at=result.created_at,
            finished_at=result.finished_at,
            timings=result.timings,
            video=replace(video, url=self._lasting_url(key)),
        )
        metadata = {"job-id": result.job_id, "seed": str(video.seed), "sha256": video.sha256}
        try:
            if (delivered := self._delivered(result.request)) is not None:
                return delivered
            self._client.upload_file(
                str(path),
                self._address.name,
                key,
                ExtraArgs=self._headers(f"video/{video.container}", f"{result.job_id}.{video.container}", metadata),
                Callback=lambda _: self._watch.check(),
                Config=TransferConfig(
                    multipart_threshold=_PART_BYTES,
                    multipart_chunksize=_PART_BYTES,
                    max_concurrency=_THREADS,
                    preferred_transfer_client="classic",  # the other client ignores this one's settings
                ),
            )
            self._put(jpeg_key, first_frame.jpeg(path), "image/jpeg", f"{result.job_id}.jpg", metadata)
            report_json = report.model_dump_json(indent=1).encode()
            self._put(self._key("video.json"), report_json, "application/json", f"{result.job_id}.json", metadata)
        except _FAULTS as error:
            raise self._kept(path, error) from error
        except JobError:
            self._remove(key, jpeg_key, self._key("video.json"))
            raise
        return result.at(self._url(key))

    def _delivered(self, request: VideoRequest) -> Result | None:
        report = self._report()
        if report is None or report.request_sha256 != _digest(request):
            return None
        key = self._key(f"video.{report.video.container}")
        head = _or_none(lambda: self._client.head_object(Bucket=self._address.name, Key=key))
        if head is None or _metadata(head).get("sha256") != report.video.sha256:
            return None
        _log.info("answered from the bucket")
        video = replace(report.video, url=self._url(key))
        return Result(self._job_id, request, video, report.timings, report.created_at, report.finished_at)

    def _report(self) -> Report | None:
        key = self._key("video.json")
        answer = _or_none(lambda: self._client.get_object(Bucket=self._address.name, Key=key))
        if answer is None:
            return None
        try:
            return Report.model_validate_json(answer["Body"].read())
        except ValidationError:
            return None  # another version's: the job is done anew and replaces it

    def _put(self, key: str, body: bytes, content_type: str, filename: str, metadata: dict[str, str]) -> None:
        self._client.put_object(
            Bucket=self._address.name,
            Key=key,
            Body=io.BytesIO(body),
            **self._headers(content_type, filename, metadata),
        )

    def _headers(self, content_type: str, filename: str, metadata: dict[str, str]) -> dict[str, Any]:
        return {
            "ContentType": content_type,
            "ContentDisposition": f'inline; filename="{filename}"',
            "CacheControl": _CACHE_CONTROL,
            "Metadata": metadata,
        }

    def _kept(self, path: Path, error: Exception) -> JobError:
        _log.error("the bucket does not take the video", error=str(error))
        message = f"The video was made but the bucket does not take it: {_reason(error)}."
        try:
            place(path, self._keep_folder, self._job_id)
        except OSError as full:
            _log.error("the video could not be kept either", error=str(full))
            return JobError(Code.DELIVERY_FAILED, f"{message} It could not be kept on the worker either.")
        return JobError(Code.DELIVERY_FAILED, f"{message} It is kept on the worker under the job id {self._job_id}.")

    def _remove(self, *keys: str) -> None:
        try:
            for key in keys:
                self._client.delete_object(Bucket=self._address.name, Key=key)
        except _FAULTS as error:
            _log.warning("part of an ended job is left in the bucket", error=str(error))

    def _key(self, name: str) -> str:
        return "/".join(filter(None, (self._address.prefix, self._job_id, name)))

    def _url(self, key: str) -> str:
        if self._address.public_base_url is not None:
            return self._lasting_url(key)
        url: str = self._client.generate_presigned_url(
            "get_object",
            Params={"Bucket": self._address.name, "Key": key},
            ExpiresIn=self._address.presign_ttl_seconds,
        )
        return url

    def _lasting_url(self, key: str) -> str:
        """A URL without a signature. It is valid for as long as the object is there, for those who may read it."""
        if self._address.public_base_url is None:
            return f"s3://{self._address.name}/{key}"
        return f"{self._address.public_base_url.rstrip('/')}/{quote(key)}"


def prove(address: Address, watch: Watch | None = None) -> None:
    """Puts, gets and deletes a small object.

    Raises `JobError`: INVALID_FIELD if the bucket refuses, DELIVERY_FAILED if it cannot be reached or returns something
    else, or the watch's.
    """
    client, content = _client(address, watch), uuid.uuid4().hex.encode()
    key = "/".join(filter(None, (address.prefix, f"proof-{content.decode()}")))
    try:
        client.put_object(Bucket=address.name, Key=key, Body=content)
        returned = client.get_object(Bucket=address.name, Key=key)["Body"].read()
        client.delete_object(Bucket=address.name, Key=key)
    except _FAULTS as error:
        is_refusal = isinstance(error, ClientError) and _status(error) in _REFUSALS
        code = Code.INVALID_FIELD if is_refusal else Code.DELIVERY_FAILED
        raise JobError(code, f"The bucket {address.name} cannot be used: {_reason(error)}.") from error
    if returned != content:
        raise JobError(Code.DELIVERY_FAILED, f"The bucket {address.name} does not return what was put into it.")


def _client(address: Address, watch: Watch | None) -> Any:
    config = Config(
        signature_version="s3v4",
        s3={"addressing_style": address.style},
        # some stores refuse trailing checksums over TLS, because they do not know them
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        max_pool_connections=_THREADS,
        proxies={} if address.public_only else None,  # a proxy would connect to private addresses too
    )
    client = boto3.client(
        "s3",
        endpoint_url=address.endpoint_url,
        region_name=address.region,
        aws_access_key_id=address.access_key_id.get_secret_value(),
        aws_secret_access_key=address.secret_access_key.get_secret_value(),
        config=config,
    )
    if watch is not None:
        for call in _GIVEN_UP_AFTER:  # before botocore decides on a retry, which may be a long wait
            client.meta.events.register_first(f"needs-retry.s3.{call}", lambda **_: watch.check())
    if address.public_only:
        client.meta.events.register("before-send.s3", _refuse_private)
    return client


def _refuse_private(request: Any, **_: Any) -> None:
    """Raises `JobError` if the request would go to an address that is not public.

    The name may resolve to another address a moment later. That leads nowhere: the other side must prove by its
    certificate that it is the URL's host.
    """
    url = urlsplit(request.url)
    try:
        found = socket.getaddrinfo(url.hostname, url.port or 443, type=socket.SOCK_STREAM)
    except OSError:
        return  # the name does not resolve: nothing can be sent either
    if url.scheme != "https" or not all(is_public(str(address[4][0])) for address in found):
        raise JobError(Code.INVALID_FIELD, "s3Config.endpointUrl must lead to a public address over https.")


def _or_none(call: Callable[[], Any]) -> Any:
    """What `call()` returns; None if the object is absent."""
    try:
        return call()
    except ClientError as error:
        if _status(error) in _ABSENT:
            return None
        raise


def _metadata(head: dict[str, Any]) -> dict[str, str]:
    return {name.lower(): value for name, value in head["Metadata"].items()}  # some stores change the case


def _status(error: ClientError) -> int:
    status: int = error.response["ResponseMetadata"]["HTTPStatusCode"]
    return status


def _reason(error: Exception) -> str:
    """Why a call failed, without any URL."""
    cause = error.__context__ if isinstance(error, Boto3Error) else error
    if isinstance(cause, ClientError):
        return f"it answers {cause.response['Error']['Code']} (HTTP status {_status(cause)})"
    return "it cannot be reached, or breaks off"


def _digest(request: VideoRequest) -> str:
    return hashlib.sha256(json.dumps(asdict(request), sort_keys=True).encode()).hexdigest()
