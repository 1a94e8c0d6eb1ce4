"""What a caller posts to `/run` and `/runsync`: RunPod's request body, checked, with errors that name the field."""

import json
import uuid
from typing import Annotated, Any

from fastapi import HTTPException, Request
from pydantic import AnyHttpUrl, BaseModel, BeforeValidator, ConfigDict, Field, UrlConstraints, ValidationError

from videoworker.endpoint.jobs import Submission
from videoworker.endpoint.settings import EndpointSettings
from videoworker.endpoint.webhook_address import may_be_public
from videoworker.http.body import limited_body, parse_json

# RunPod's documented limits.
MAX_RUN_BYTES = 10_000_000
MAX_RUNSYNC_BYTES = 20_000_000
# Ids of jobs that came with a key (IETF draft-ietf-httpapi-idempotency-key-header) are named in this UUID's space.
_KEYS = uuid.UUID("7f1a4a9e-0b0c-4d43-9a35-8f9a0c3d6b52")

_WEEK = 7 * 24 * 3600 * 1000  # milliseconds

_FOR_WORKER = ("input", "webhook", "policy", "s3Config")  # the fields that a worker gets


def _whole(value: Any) -> Any:
    """An integer if it is one that is written as 5000.0: JSON has one kind of number."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


_Milliseconds = Annotated[int, BeforeValidator(_whole)]


class _Policy(BaseModel):
    model_config = ConfigDict(strict=True)

    execution_timeout: _Milliseconds | None = Field(None, alias="executionTimeout", ge=5_000, le=_WEEK)
    ttl: _Milliseconds | None = Field(None, ge=10_000, le=_WEEK)
    low_priority: bool | None = Field(None, alias="lowPriority")


class _Body(BaseModel):
    input: Any
    webhook: Annotated[AnyHttpUrl, UrlConstraints(max_length=2048)] | None = None
    policy: _Policy | None = None
    s3_config: dict[str, Any] | None = Field(None, alias="s3Config")


async def read(request: Request, settings: EndpointSettings, is_sync: bool) -> Submission:
    """The job that the request submits. `is_sync`: by `/runsync`.

    Requests with the same header `Idempotency-Key` submit the same job, for as long as that is kept.

    Raises `HTTPException` 413 if the body is too large, and 400 for anything else that is wrong with it.
    """
    payload = parse_json(await limited_body(request, MAX_RUNSYNC_BYTES if is_sync else MAX_RUN_BYTES))
    if not isinstance(payload, dict) or payload.get("input") is None:
        raise HTTPException(400, 'The body must be a JSON object with an "input".')
    try:
        body = _Body.model_validate(payload)
    except ValidationError as error:
        raise HTTPException(400, "; ".join(map(_problem, error.errors(include_url=False)))) from None
    webhook = str(body.webhook) if body.webhook else None
    if webhook and not settings.private_webhooks and not await may_be_public(webhook):
        raise HTTPException(400, f"webhook: must lead to a public address (given: {json.dumps(webhook)[:100]})")
    policy = body.policy or _Policy()
    timeout, ttl = policy.execution_timeout, policy.ttl
    execution_timeout = settings.execution_timeout_seconds if timeout is None else timeout / 1000
    # The worker is told the time that counts, so that it refuses at once what would not be done by then.
    payload["policy"] = {**(payload.get("policy") or {}), "executionTimeout": round(execution_timeout * 1000)}
    key = request.headers.get("idempotency-key")
    number = uuid.uuid4() if key is None else uuid.uuid5(_KEYS, key)
    return Submission(
        id=f"sync-{number}" if is_sync else str(number),
        is_keyed=key is not None,
        body=json.dumps({name: payload[name] for name in _FOR_WORKER if name in payload}, separators=(",", ":")),
        webhook=webhook,
        execution_timeout=execution_timeout,
        ttl=settings.ttl_seconds if ttl is None else ttl / 1000,
        retention=settings.sync_retention_seconds if is_sync else settings.retention_seconds,
    )


def _problem(error: Any) -> str:
    return f"{'.'.join(map(str, error['loc']))}: {error['msg']} (given: {json.dumps(error['input'])[:100]})"
