"""The endpoint behind the gateway, by RunPod's job API: RunPod itself, or ours on one machine.

RunPod's API has no way to submit a job twice and have it once. Ours knows the header `Idempotency-Key`: jobs with the
same key are one job. RunPod ignores it.
"""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Literal, TypeVar

import aiohttp
from pydantic import BaseModel, ValidationError

from videoworker.gateway.settings import GatewaySettings

MAX_RUN_BYTES = 10_000_000  # RunPod's documented limit of a body of /run

Model = TypeVar("Model", bound=BaseModel)
Status = Literal["IN_QUEUE", "IN_PROGRESS", "COMPLETED", "FAILED", "CANCELLED", "TIMED_OUT"]

_SHORTEST_MILLISECONDS = 10_000  # of a job's policy that RunPod takes
_WRONG_BODY = (400, 413, 422)
_CONNECT_SECONDS = 5.0
_ANSWER_SECONDS = 30.0
_CONNECTIONS = 32  # more than the follower's requests in flight; the rest is for those of callers


class EndpointAwayError(Exception):
    """The endpoint cannot be reached, or fails. `may_have_heard`: whether what was sent may have arrived."""

    def __init__(self, may_have_heard: bool) -> None:
        super().__init__("The endpoint does not answer.")
        self.may_have_heard = may_have_heard


class ThrottledError(Exception):
    """The endpoint answers 429: it takes no more of these requests now."""


class RefusedError(Exception):
    """The endpoint refuses a request, and would do so again: its key or its URL is wrong, or the body."""

    def __init__(self, status: int) -> None:
        super().__init__(f"The endpoint answers {status}.")
        self.status = status

    @property
    def is_of_the_body(self) -> bool:
        """Whether it is what was sent that is wrong."""
        return self.status in _WRONG_BODY


class _Submitted(BaseModel):
    id: str


class EndpointState(BaseModel):
    """A job as the endpoint tells it. `output` is its progress while it is not final."""

    id: str
    status: Status
    output: Any = None
    error: Any = None


class Workers(BaseModel):
    """How many workers the endpoint has in each state."""

    idle: int = 0
    initializing: int = 0
    ready: int = 0
    running: int = 0
    throttled: int = 0
    unhealthy: int = 0

    @property
    def jobs_at_once(self) -> int:
        return max(self.running + self.idle, 1)


class _Health(BaseModel):
    workers: Workers = Workers()


@dataclass(frozen=True)
class Submission:
    """What `/run` is sent. `key`: jobs with the same one are one job. A worker delivers it under this name."""

    input: Mapping[str, Any]
    key: str
    webhook: str | None

    @property
    def body(self) -> bytes:
        fields: dict[str, Any] = {"input": {**self.input, "job_id": self.key}}
        if self.webhook is not None:
            fields["webhook"] = self.webhook
        return json.dumps(fields, separators=(",", ":")).encode()


class Endpoint:
    """Every method raises `EndpointAwayError`, `ThrottledError` and `RefusedError`. Belongs to the event loop that made
    it."""

    def __init__(self, settings: GatewaySettings) -> None:
        key = settings.endpoint_api_key
        self._url = settings.endpoint_url
        self._client = aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {key.get_secret_value()}"} if key else {},
            timeout=aiohttp.ClientTimeout(
                connect=_ANSWER_SECONDS, sock_connect=_CONNECT_SECONDS, sock_read=_ANSWER_SECONDS
            ),
            connector=aiohttp.TCPConnector(limit=_CONNECTIONS),
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def close(self) -> None:
        await self._client.close()

    async def run(self, submission: Submission) -> str:
        """The endpoint's id of the job."""
        headers = {"Content-Type": "application/json", "Idempotency-Key": submission.key}
        answer = await self._ask("POST", "run", data=io.BytesIO(submission.body), headers=headers)
        return _read(_Submitted, answer).id

    async def run_sync(self, job_input: Mapping[str, Any], seconds: float) -> EndpointState:
        """The job as it is after `seconds` at most. It expires soon after that."""
        soon = {"executionTimeout": _SHORTEST_MILLISECONDS, "ttl": _SHORTEST_MILLISECONDS}
        body = {"input": dict(job_input), "policy": soon}
        answer = await self._ask("POST", "runsync", params={"wait": round(seconds * 1000)}, json=body)
        return _read(EndpointState, answer)

    async def status(self, endpoint_id: str) -> EndpointState | None:
        """None if the endpoint does not know the job, or no longer."""
        try:
            return _read(EndpointState, await self._ask("GET", f"status/{endpoint_id}"))
        except RefusedError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            raise

    async def cancel(self, endpoint_id: str) -> None:
        """Nothing happens if the job is final, or the endpoint does not know it."""
        try:
            await self._ask("POST", f"cancel/{endpoint_id}")
        except RefusedError as error:
            if error.status not in (HTTPStatus.NOT_FOUND, HTTPStatus.BAD_REQUEST):
                raise

    async def workers(self) -> Workers:
        return _read(_Health, await self._ask("GET", "health")).workers

    async def _ask(self, method: str, path: str, **options: Any) -> bytes:
        """The body of an answer that is a success."""
        url = f"{self._url}/{path}"
        try:
            async with self._client.request(method, url, allow_redirects=False, **options) as answer:
                body = await answer.read()
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise EndpointAwayError(may_have_heard=False) from error
        except (aiohttp.ClientError, TimeoutError) as error:
            raise EndpointAwayError(may_have_heard=True) from error
        if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
            raise ThrottledError
        if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise EndpointAwayError(may_have_heard=True)
        if answer.status >= HTTPStatus.MULTIPLE_CHOICES:
            raise RefusedError(answer.status)
        return body


def _read(model: type[Model], answer: bytes) -> Model:
    """Raises `EndpointAwayError` if the answer is none of RunPod's API: a proxy's page, for example."""
    try:
        return model.model_validate_json(answer)
    except ValidationError as error:
        raise EndpointAwayError(may_have_heard=True) from error
