"""Which destination a job's video has, by the job and the operator's settings."""

from collections.abc import Mapping
from typing import Any

from videoworker.delivery import bucket_address, volume
from videoworker.delivery.bucket_address import Address
from videoworker.delivery.destination import Destination
from videoworker.delivery.file import File
from videoworker.delivery.inline import Inline
from videoworker.settings import Settings
from videoworker.watch import Watch

# The operator's bucket as it is set, and as it is by its proof: the store may have named another region. Written at the
# start, before the first job.
_proved: dict[Address, Address] = {}


def destination_for(job: Mapping[str, Any], settings: Settings, watch: Watch) -> Destination:
    """The job's own bucket if it has one, else the operator's destination. Raises `JobError`.

    The job's own bucket is proved here. The operator's destination was proved at the start.
    """
    job_id = str(job["id"])
    if s3_config := job.get("s3Config"):
        address = _proved_address(bucket_address.from_job(s3_config, settings), watch)
        return _bucket(address, job_id, settings, watch)
    match _kind(settings):
        case "bucket":
            address = bucket_address.from_settings(settings)
            return _bucket(_proved.get(address, address), job_id, settings, watch)
        case "volume":
            return File(volume.folder(settings))
        case "inline":
            return Inline()
        case _:
            return File(settings.output_dir, settings.public_base_url)


def prove(settings: Settings) -> None:
    """To be called once before jobs are served. Raises `JobError` if the operator's destination is not set up, or does
    not work."""
    match _kind(settings):
        case "bucket":
            address = bucket_address.from_settings(settings)
            _proved[address] = _proved_address(address, None)
        case "volume":
            volume.prove(settings)


# The bucket's client is imported only if there is a bucket.


def _proved_address(address: Address, watch: Watch | None) -> Address:
    from videoworker.delivery.bucket_proof import prove

    return prove(address, watch)


def _bucket(address: Address, job_id: str, settings: Settings, watch: Watch) -> Destination:
    from videoworker.delivery.bucket import Bucket

    return Bucket(address, job_id, watch, settings.output_dir)


def _kind(settings: Settings) -> str:
    if settings.delivery is not None:
        return settings.delivery
    if bucket_address.is_set(settings):
        return "bucket"
    is_served = settings.public_base_url is not None
    return "inline" if settings.runpod_webhook_post_output and not is_served else "file"
