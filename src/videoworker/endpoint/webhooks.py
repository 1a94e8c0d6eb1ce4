"""Webhooks: a final job's status, posted to the URL that its caller named, signed, in at most three attempts.

The change that makes a job final also notes in the database that its webhook is to be sent. So an endpoint that was
killed sends it after its next start.

An attempt has a slot while it lasts, and none in the pauses between attempts. A host has a share of the slots, so one
that answers slowly or never delays only its own webhooks.
"""

import asyncio
import json
from datetime import UTC, datetime
from urllib.parse import urlsplit
from weakref import WeakValueDictionary

import aiohttp
import structlog
from standardwebhooks import Webhook
from tenacity import AsyncRetrying, RetryError, retry_if_exception_type, stop_after_attempt, wait_fixed

from videoworker.database.faults import DATABASE_ERRORS
from videoworker.endpoint.answers import job_fields, json_object
from videoworker.endpoint.jobs import Job
from videoworker.endpoint.queue import Queue
from videoworker.endpoint.settings import EndpointSettings
from videoworker.http.public_address import public_socket

ATTEMPTS = 3  # RunPod's documented number: two more after the first
_ANSWER_SECONDS = 10.0
_MAX_CONCURRENT = 16
_MAX_CONCURRENT_PER_HOST = 4

_log = structlog.get_logger()


class Webhooks:
    """Belongs to one event loop."""

    def __init__(self, queue: Queue, settings: EndpointSettings) -> None:
        secret = settings.webhook_secret
        self._signer = Webhook(secret.get_secret_value()) if secret else None
        self._queue, self._pause = queue, settings.webhook_retry_seconds
        self._socket_factory = None if settings.private_webhooks else public_socket
        self._slots = asyncio.Semaphore(_MAX_CONCURRENT)
        # by host, for as long as a webhook of the host is being sent
        self._host_slots: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        self._tasks: set[asyncio.Task[None]] = set()

    def send(self, job_id: str) -> None:
        """Sends the job's webhook if one is to be sent. Returns at once."""
        task = asyncio.create_task(self._try_to_send(job_id))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Stops sending. What was not sent is sent after the next start."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _try_to_send(self, job_id: str) -> None:
        try:
            await self._send(job_id)
        except DATABASE_ERRORS as error:  # it is sent after the next start
            self._queue.faults.tell(error)

    async def _send(self, job_id: str) -> None:
        host = await self._host(job_id)
        if host is None:
            return
        host_slots = self._host_slots.setdefault(host, asyncio.Semaphore(_MAX_CONCURRENT_PER_HOST))
        retrying = AsyncRetrying(
            stop=stop_after_attempt(ATTEMPTS),
            wait=wait_fixed(self._pause),
            retry=retry_if_exception_type((aiohttp.ClientError, TimeoutError)),
        )
        try:
            async for attempt in retrying:
                with attempt:
                    # in this order, so that no slot is held while a host is waited for
                    async with host_slots, self._slots:
                        # read here, so that none of those that wait holds a body of 20 MB
                        if job := await self._queue.find(job_id):
                            await self._post(job)
        except RetryError as error:
            failure = error.last_attempt.exception()
            cause = failure.os_error if isinstance(failure, aiohttp.ClientConnectorError) else failure
            _log.warning("webhook not accepted", job_id=job_id, error=type(cause).__name__)
        await self._queue.webhook_done(job_id)

    async def _host(self, job_id: str) -> str | None:
        """Where the webhook goes, whatever the port. None if there is none to send."""
        job = await self._queue.find(job_id)
        return urlsplit(job.webhook).hostname if job is not None and job.webhook_pending and job.webhook else None

    async def _post(self, job: Job) -> None:
        """One attempt. Raises `aiohttp.ClientError` or `TimeoutError` unless the answer's status is 2xx."""
        assert job.webhook is not None  # or none would be pending
        sent = await self._queue.body(job.id)
        assert sent is not None  # a job whose webhook is pending is kept
        job_input = json.loads(sent)["input"]
        body = json_object(job_fields(job, None) | {"input": json.dumps(job_input), "webhook": json.dumps(job.webhook)})
        headers = {"Content-Type": "application/json"} | self._signature(job, body)
        timeout = aiohttp.ClientTimeout(total=_ANSWER_SECONDS)
        connector = aiohttp.TCPConnector(socket_factory=self._socket_factory)
        async with (
            aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
            session.post(job.webhook, data=body.encode(), headers=headers, allow_redirects=False) as answer,
        ):
            if not answer.ok or answer.status >= 300:
                raise aiohttp.ClientError(f"answered {answer.status}")

    def _signature(self, job: Job, body: str) -> dict[str, str]:
        """The headers of Standard Webhooks. All attempts for one end of a job have the same id."""
        assert job.finished_at is not None  # or its webhook would not be pending
        message, now = f"{job.id}.{round(job.finished_at * 1000)}", datetime.now(UTC)
        headers = {"webhook-id": message, "webhook-timestamp": str(int(now.timestamp()))}
        if self._signer is not None:
            headers["webhook-signature"] = self._signer.sign(message, now, body)
        return headers
