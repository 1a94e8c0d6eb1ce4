"""The bucket that the worker delivers into, if the gateway has its key: links are signed anew, and objects removed.

What a job has there stands in `videoworker.delivery.bucket`.
"""

from typing import Any

import structlog

from videoworker.delivery import bucket_address
from videoworker.delivery.bucket_address import Address
from videoworker.delivery.bucket_client import FAULTS, client_for, reason
from videoworker.delivery.bucket_proof import link, prove
from videoworker.errors import Code, JobError
from videoworker.settings import Settings

_log = structlog.get_logger()


class BucketAwayError(Exception):
    """The bucket cannot be reached, or fails."""


class Bucket:
    """Its methods may be called on any thread."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._client: Any = client_for(address, None)

    def url(self, job_id: str, container: str) -> str:
        """A link to the job's video, signed now."""
        return link(self._client, self._address, self._key(job_id, f"video.{container}"))

    def remove(self, job_id: str) -> None:
        """Removes all that the job has in the bucket. Blocks. Raises `BucketAwayError`."""
        try:
            for name in ("video.mp4", "video.webm", "video.c2pa", "video.jpg", "video.json"):
                self._client.delete_object(Bucket=self._address.name, Key=self._key(job_id, name))
        except FAULTS as error:
            _log.warning("a deleted job's objects are still in the bucket", error=reason(error))
            raise BucketAwayError from error

    def _key(self, job_id: str, name: str) -> str:
        return "/".join(filter(None, (self._address.prefix, job_id, name)))


def from_settings(settings: Settings) -> Bucket | None:
    """The worker's bucket; None if its variables are not set. Blocks. Raises `JobError` if it can never be used."""
    if not bucket_address.is_set(settings):
        return None
    address = bucket_address.from_settings(settings)
    try:
        return Bucket(prove(address))
    except JobError as error:
        if error.code is not Code.DELIVERY_FAILED:
            raise
        _log.warning("the bucket cannot be reached now", reason=error.message)
        return Bucket(address)
