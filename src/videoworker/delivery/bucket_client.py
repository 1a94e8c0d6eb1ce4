"""The S3 client that every call to a bucket goes through.

What the worker is told counts, and nothing else: not the machine's `AWS_*` variables, its profiles and its files. Every
answer is read up to a limit, and a watch is checked meanwhile.
"""

import socket
from collections.abc import Callable, Iterator
from functools import cache
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import boto3
import botocore.session
import botocore.utils
from boto3.exceptions import Boto3Error
from botocore import configprovider
from botocore.awsrequest import AWSRequest, AWSResponse
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    NoCredentialsError,
    ParamValidationError,
    SSLError,
)
from botocore.httpsession import URLLib3Session

from videoworker.delivery.bucket_address import Address
from videoworker.errors import Code, JobError
from videoworker.http.public_address import is_public
from videoworker.watch import Watch

ATTEMPTS = 5  # of one call, with botocore's exponential backoff between them: about 8 seconds in all
CONNECT_SECONDS = 5.0
READ_SECONDS = 30.0
THREADS = 4  # of an upload: the SDK's own uploader takes one per core, hundreds on a large host

REGION_HEADER = "x-amz-bucket-region"

FAULTS = (BotoCoreError, ClientError, Boto3Error)

_MOST_BYTES = 2**20  # of an answer: those of S3 have at most a few kilobytes
_CHUNK_BYTES = 65536

# The calls after which a delivery can still be ended without leaving an object.
_GIVEN_UP_AFTER = ("GetObject", "HeadObject", "PutObject", "CreateMultipartUpload", "UploadPart")

_REFUSALS = (
    HTTPStatus.MOVED_PERMANENTLY,
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.NOT_FOUND,
)  # the same request would be refused again


class AnswerTooLong(BotoCoreError):  # type: ignore[misc]
    """The store sends more bytes than any answer has."""

    fmt = "The answer has more bytes than expected"


def client_for(address: Address, watch: Watch | None) -> Any:
    """A client of this bucket's store. The watch is checked before each retry and while answers are read."""
    client = _session().client(
        "s3",
        endpoint_url=address.endpoint_url,
        region_name=address.region,
        aws_access_key_id=address.access_key_id.get_secret_value(),
        aws_secret_access_key=address.secret_access_key.get_secret_value(),
        verify=address.verify,
        config=Config(
            signature_version="s3v4",
            s3={"addressing_style": address.style},
            # some stores refuse trailing checksums over TLS, because they do not know them
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        ),
    )
    events = client.meta.events
    if watch is not None:
        for call in _GIVEN_UP_AFTER:  # before botocore decides on a retry, which may be a long wait
            events.register_first(f"needs-retry.s3.{call}", lambda **_: watch.check())
    if address.public_only:
        events.register("before-send.s3", _refuse_private)
    transport = _transport(address)

    def send(request: Any, **_: Any) -> AWSResponse:
        request.stream_output = True  # else the whole answer is read at once
        return _Limited(transport.send(request), watch)

    events.register_last("before-send.s3", send)
    return client


def get(url: str, address: Address, watch: Watch | None) -> tuple[int, str | None, bytes]:
    """What a plain GET of `url` gives, as anybody would do it: the status, the region that its headers name, and the
    body. No redirect is followed."""
    request = AWSRequest("GET", url, stream_output=True).prepare()
    if address.public_only:
        _refuse_private(request)
    answer = _transport(address).send(request)
    return answer.status_code, answer.headers.get(REGION_HEADER), read(_Prompt(answer.raw), watch)


def read(body: Any, watch: Watch | None) -> bytes:
    """All that `body` holds. Raises `AnswerTooLong`, and what the watch raises, which is checked with every chunk."""
    whole = bytearray()
    for chunk in _chunks(body):
        whole += chunk
        if len(whole) > _MOST_BYTES:
            body.close()
            raise AnswerTooLong
        if watch is not None:
            watch.check()
    return bytes(whole)


def or_none(call: Callable[[], Any]) -> Any:
    """What `call()` returns; None if the object is absent."""
    try:
        return call()
    except ClientError as error:
        # S3 answers 403 to those who may not list the bucket
        if status(error) in (HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND):
            return None
        raise


def status(error: ClientError) -> int:
    code: int = error.response["ResponseMetadata"]["HTTPStatusCode"]
    return code


def is_refusal(error: Exception) -> bool:
    """Whether the same call would be refused again."""
    cause = _cause(error)
    if isinstance(cause, ClientError):
        return status(cause) in _REFUSALS
    return isinstance(cause, ParamValidationError) or _is_unsendable(cause)


def reason(error: Exception) -> str:
    """Why a call failed, without any URL, key or secret."""
    cause = _cause(error)
    if isinstance(cause, ClientError):
        return f"it answers {cause.response['Error']['Code']} (HTTP status {status(cause)})"
    if isinstance(cause, ParamValidationError):
        return "S3 allows no such bucket name or object key"
    if isinstance(cause, NoCredentialsError) or _is_unsendable(cause):
        return "its access key, its name or a prefix has a character that no HTTP request can hold"
    if isinstance(cause, SSLError):
        return "its TLS certificate is not accepted, or it does not speak TLS"
    if isinstance(cause, AnswerTooLong):
        return "it answers with more bytes than S3 does"
    if "resolve" in str(cause.__dict__.get("kwargs", {}).get("error", "")):
        return "its host name is not known"
    return "it cannot be reached, or breaks off"


class _Prompt:
    """A body that is read as it comes. urllib3's would wait until it has as many bytes as are asked for."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw

    def read(self, num_bytes: int) -> bytes:
        chunk: bytes = self._raw.read1(num_bytes)
        return chunk

    def close(self) -> None:
        self._raw.close()


class _Limited(AWSResponse):  # type: ignore[misc]
    """An answer whose body is read up to a limit."""

    def __init__(self, answer: AWSResponse, watch: Watch | None) -> None:
        super().__init__(answer.url, answer.status_code, answer.headers, _Prompt(answer.raw))
        self._watch = watch
        self._read: bytes | None = None

    @property
    def content(self) -> bytes:
        if self._read is None:
            self._read = read(self.raw, self._watch)
        return self._read


@cache
def _session() -> boto3.Session:
    """A session whose configuration is botocore's defaults."""
    defaults = {name: entry[2] for name, entry in configprovider.BOTOCORE_DEFAUT_SESSION_VARIABLES.items()}
    defaults |= {"config_file": None, "credentials_file": None}
    providers = {name: configprovider.ConstantProvider(default) for name, default in defaults.items()}
    session = botocore.session.Session()
    session.register_component("config_store", configprovider.ConfigValueStore(providers))
    return boto3.Session(botocore_session=session)


def _transport(address: Address) -> Any:
    """What sends requests. A proxy of the environment is used for the operator's bucket alone: for a job's bucket it
    would connect to private addresses too."""
    return URLLib3Session(
        verify=address.verify,
        proxies={} if address.public_only else _proxies(address.endpoint_url),
        timeout=(CONNECT_SECONDS, READ_SECONDS),
        max_pool_connections=THREADS,
    )


def _proxies(url: str) -> dict[str, str]:
    proxies: dict[str, str] = botocore.utils.get_environ_proxies(url)
    return proxies


def _chunks(body: Any) -> Iterator[bytes]:
    while chunk := body.read(_CHUNK_BYTES):
        yield chunk


def _cause(error: Exception) -> Exception:
    context = error.__context__
    return context if isinstance(error, Boto3Error) and isinstance(context, Exception) else error


def _is_unsendable(error: Exception) -> bool:
    """Whether the HTTP client refuses to write the request."""
    return isinstance(error, HTTPClientError) and isinstance(error.kwargs.get("error"), ValueError)


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
