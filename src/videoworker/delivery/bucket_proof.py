"""The proof that a bucket works, before a video is made for it.

What goes in must come out, by the link that a caller gets too.
"""

import re
import uuid
from urllib.parse import quote

import structlog
from botocore.exceptions import ClientError

from videoworker.delivery import bucket_client
from videoworker.delivery.bucket_address import Address
from videoworker.errors import Code, JobError
from videoworker.watch import Watch

_log = structlog.get_logger()

_REGION = re.compile(rb"<Region>([A-Za-z0-9-]{1,40})</Region>")
_REGION_NAME = re.compile(r"[A-Za-z0-9-]{1,40}")
_CODE = re.compile(rb"<Code>([A-Za-z0-9]{1,80})</Code>")
_HIDDEN = (401, 403)


class _OtherRegion(Exception):
    """The store says that the bucket lies in the region `name`."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def prove(address: Address, watch: Watch | None = None) -> Address:
    """Puts a small object, gets it, gets it by its link, and deletes it. Returns the address in the bucket's region.

    Raises `JobError`: INVALID_FIELD if the bucket refuses, DELIVERY_FAILED if it cannot be reached or returns something
    else, or the watch's.
    """
    try:
        try:
            _prove(address, watch)
            return address
        except _OtherRegion as other:
            _log.info("the bucket names its region", region=other.name, instead_of=address.region)
            moved = address.in_region(other.name)
            _prove(moved, watch)
            return moved
    except _OtherRegion as other:
        message = f"The bucket {address.name} cannot be used: it lies in the region {other.name}, and its URL does not."
        raise JobError(Code.INVALID_FIELD, message) from other
    except bucket_client.FAULTS as error:
        code = Code.INVALID_FIELD if bucket_client.is_refusal(error) else Code.DELIVERY_FAILED
        message = f"The bucket {address.name} cannot be used: {bucket_client.reason(error)}."
        raise JobError(code, message) from error


def _prove(address: Address, watch: Watch | None) -> None:
    client, content = bucket_client.client_for(address, watch), uuid.uuid4().hex.encode()
    key = "/".join(filter(None, (address.prefix, f"proof-{content.decode()}")))
    try:
        client.put_object(Bucket=address.name, Key=key, Body=content)
        returned = bucket_client.read(client.get_object(Bucket=address.name, Key=key)["Body"], watch)
    except ClientError as error:
        _raise_if_elsewhere(address, _named_region(error))
        raise
    try:
        if returned != content:
            raise JobError(Code.DELIVERY_FAILED, f"The bucket {address.name} does not return what was put into it.")
        _prove_link(client, address, key, content, watch)
    finally:
        client.delete_object(Bucket=address.name, Key=key)


def _prove_link(client: object, address: Address, key: str, content: bytes, watch: Watch | None) -> None:
    status, region, body = bucket_client.get(link(client, address, key), address, watch)
    if (status, body) == (200, content):
        return
    if address.public_base_url is not None:
        if status in _HIDDEN:
            _log.warning("BUCKET_PUBLIC_BASE_URL does not let this worker read", status=status)
            return
        message = f"BUCKET_PUBLIC_BASE_URL does not lead to the bucket {address.name}: it answers HTTP status {status}"
        raise JobError(Code.DELIVERY_FAILED, f"{message}{' with something else' if status == 200 else ''}.")
    named = _REGION.search(body)
    _raise_if_elsewhere(address, named[1].decode() if named else region)
    code = _CODE.search(body)
    raise JobError(
        Code.INVALID_FIELD,
        f"The bucket {address.name} gives no presigned URLs: to one it answers "
        f"{code[1].decode() if code else 'nothing of use'} (HTTP status {status}).",
    )


def link(client: object, address: Address, key: str) -> str:
    """The URL by which a caller gets an object: a presigned one, or the public one if there is any."""
    if address.public_base_url is not None:
        return f"{address.public_base_url}/{quote(key)}"
    url: str = client.generate_presigned_url(  # type: ignore[attr-defined]
        "get_object", Params={"Bucket": address.name, "Key": key}, ExpiresIn=address.presign_ttl_seconds
    )
    return url


def _raise_if_elsewhere(address: Address, region: str | None) -> None:
    if region is not None and _REGION_NAME.fullmatch(region) and region != address.region:
        raise _OtherRegion(region)


def _named_region(error: ClientError) -> str | None:
    headers = error.response["ResponseMetadata"].get("HTTPHeaders", {})
    region: str | None = error.response["Error"].get("Region") or headers.get(bucket_client.REGION_HEADER)
    return region
