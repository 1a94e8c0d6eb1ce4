"""Webhooks: a finished job's status posted to the URL its caller gave, signed, three times at most.

That one is to be sent stands in the database with the result, so an endpoint that was killed sends it when it is back.
"""

import asyncio
import json
from datetime import UTC, datetime

import aiohttp
import structlog
from standardwebhooks import Webhook
from tenacity import AsyncRetrying, RetryError, retry_if_exception_type, stop_after_attempt, wait_fixed

from videoworker.endpoint.jobs import Job
from videoworker.endpoint.queue import Queue
from videoworker.endpoint.settings import EndpointSettings
from videoworker.endpoint.shown import as_text, shown
from videoworker.endpoint.webhook_address import public_socket

ATTEMPTS = 3  # RunPod: two more after the first
_ANSWER_SECONDS = 10.0
_AT_ONCE = 16

_log = structlog.get_logger()


class Webhooks:
    """Belongs to one event loop."""

    def __init__(self, queue: Queue, settings: EndpointSettings) -> None:
        secret = settings.webhook_secret
        self._signer = Webhook(secret.get_secret_value()) if secret else None
        self._queue, self._pause = queue, settings.webhook_retry_seconds
        self._socket_factory = None if settings.private_webhooks else public_socket
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()

    def send(self, job_id: str) -> None:
        """Sends the job's webhook if one is due; returns at once."""
        task = asyncio.create_task(self._send(job_id))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Gives up what is under way: it is sent when an endpoint opens the database again."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _send(self, job_id: str) -> None:
        job = await self._queue.find(job_id)
        if job is None or not job.webhook_pending:
            return
        retrying = AsyncRetrying(
            stop=stop_after_attempt(ATTEMPTS),
            wait=wait_fixed(self._pause),
            retry=retry_if_exception_type((aiohttp.ClientError, TimeoutError)),
        )
        async with self._slots:
            try:
                async for attempt in retrying:
                    with attempt:
                        await self._post(job)
            except RetryError as error:
                failure = error.last_attempt.exception()
                cause = failure.os_error if isinstance(failure, aiohttp.ClientConnectorError) else failure
                _log.warning("webhook not accepted", job_id=job_id, error=type(cause).__name__)
        await self._queue.webhook_done(job_id)

    async def _post(self, job: Job) -> None:
        """Raises `aiohttp.ClientError` unless the answer is a 2xx."""
        given = json.loads(job.body)["input"]
        body = as_text(shown(job, None) | {"input": json.dumps(given), "webhook": json.dumps(job.webhook)})
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
        """Standard Webhooks' headers. The id is the same each time that one result is sent."""
        message, now = f"{job.id}.{round(job.finished_at * 1000)}", datetime.now(UTC)
        headers = {"webhook-id": message, "webhook-timestamp": str(int(now.timestamp()))}
        if self._signer is not None:
            headers["webhook-signature"] = self._signer.sign(message, now, body)
        return headers
