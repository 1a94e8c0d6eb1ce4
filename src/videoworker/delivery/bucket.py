"""Delivery into an S3 bucket.

A job has these objects under `<prefix>/<job_id>/`, written in this order: the video `video.<container>`, its manifest
`video.c2pa` if there is one beside it, its first frame `video.jpg`, its report `video.json`. It is complete if the
report is there and has the digest of the video that is there. If the same request comes again under the same id, it is
answered from the report.

Ownership: boto3's threads read the file and check the watch. So a cancel ends an upload within one read of the file.
They change nothing that is shared.
"""

import hashlib
import io
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import structlog
from boto3.s3.transfer import TransferConfig
from pydantic import BaseModel, ValidationError

from videoworker.delivery import first_frame
from videoworker.delivery.bucket_address import Address
from videoworker.delivery.bucket_client import FAULTS, THREADS, client_for, or_none, read, reason
from videoworker.delivery.bucket_proof import link
from videoworker.delivery.destination import Destination
from videoworker.delivery.file import place
from videoworker.errors import Code, JobError
from videoworker.origin import Origin, manifest_beside
from videoworker.request import Result, Video, VideoRequest
from videoworker.watch import Watch

_MEBIBYTE = 2**20
_PART_BYTES = 8 * _MEBIBYTE  # S3 wants at least 5 MiB, and at most 10,000 parts: they hold any video
_CACHE_CONTROL = "max-age=31536000, immutable"

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
        self._client = client_for(address, watch)

    def delivered_before(self, request: VideoRequest) -> Result | None:
        """Raises `JobError` DELIVERY_FAILED if the bucket does not say."""
        try:
            return self._delivered(request)
        except FAULTS as error:
            message = f"The bucket does not say whether the job is done: {reason(error)}."
            raise JobError(Code.DELIVERY_FAILED, message) from error

    def deliver(self, path: Path, result: Result) -> Result:
        """Another worker may have done the job meanwhile. What that one has answered with is not replaced."""
        video = result.video
        key, jpeg_key = self._key(f"video.{video.container}"), self._key("video.jpg")
        manifest, manifest_key = manifest_beside(path), self._key("video.c2pa")
        has_manifest = manifest.exists()
        report = Report(
            job_id=result.job_id,
            request_sha256=_digest(result.request),
            created_at=result.created_at,
            finished_at=result.finished_at,
            timings=result.timings,
            video=replace(
                video,
                url=self._lasting_url(key),
                manifest_url=self._lasting_url(manifest_key) if has_manifest else None,
            ),
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
                    max_concurrency=THREADS,
                    preferred_transfer_client="classic",  # the other client ignores this one's settings
                ),
            )
            if has_manifest:
                filename = f"{result.job_id}.c2pa"
                self._put(manifest_key, manifest.read_bytes(), "application/c2pa", filename, metadata)
            self._put(jpeg_key, _first_frame(path, result), "image/jpeg", f"{result.job_id}.jpg", metadata)
            report_json = report.model_dump_json(indent=1).encode()
            self._put(self._key("video.json"), report_json, "application/json", f"{result.job_id}.json", metadata)
        except FAULTS as error:
            raise self._kept(path, error) from error
        except JobError:
            self._remove(key, manifest_key, jpeg_key, self._key("video.json"))
            raise
        return result.at(self._url(key), self._url(manifest_key) if has_manifest else None)

    def _delivered(self, request: VideoRequest) -> Result | None:
        report = self._report()
        if report is None or report.request_sha256 != _digest(request):
            return None
        key = self._key(f"video.{report.video.container}")
        head = or_none(lambda: self._client.head_object(Bucket=self._address.name, Key=key))
        if head is None or _metadata(head).get("sha256") != report.video.sha256:
            return None
        _log.info("answered from the bucket")
        manifest_url = self._url(self._key("video.c2pa")) if report.video.manifest_url else None
        result = Result(self._job_id, request, report.video, report.timings, report.created_at, report.finished_at)
        return result.at(self._url(key), manifest_url)

    def _report(self) -> Report | None:
        key = self._key("video.json")
        answer = or_none(lambda: self._client.get_object(Bucket=self._address.name, Key=key))
        if answer is None:
            return None
        try:
            return Report.model_validate_json(read(answer["Body"], self._watch))
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
        _log.error("the bucket does not take the video", error=reason(error), kind=type(error).__name__)
        message = f"The video was made but the bucket does not take it: {reason(error)}."
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
        except FAULTS as error:
            _log.warning("part of an ended job is left in the bucket", error=reason(error))

    def _key(self, name: str) -> str:
        return "/".join(filter(None, (self._address.prefix, self._job_id, name)))

    def _url(self, key: str) -> str:
        return link(self._client, self._address, key)

    def _lasting_url(self, key: str) -> str:
        """A URL without a signature. It is valid for as long as the object is there, for those who may read it."""
        if self._address.public_base_url is None:
            return f"s3://{self._address.name}/{key}"
        return self._url(key)


def _first_frame(path: Path, result: Result) -> bytes:
    """As JPEG, marked if the video is. That of a clip which was given is not marked, for no model has made it."""
    video = result.video
    is_marked = "iptc" in video.marks and result.request.video is None
    return first_frame.jpeg(path, Origin(video.model, video.model_revision).xmp() if is_marked else b"")


def _metadata(head: dict[str, Any]) -> dict[str, str]:
    return {name.lower(): value for name, value in head["Metadata"].items()}  # some stores change the case


def _digest(request: VideoRequest) -> str:
    return hashlib.sha256(json.dumps(asdict(request), sort_keys=True).encode()).hexdigest()
