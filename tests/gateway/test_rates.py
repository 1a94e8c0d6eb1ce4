"""The limits of `hunyuanvideo-foley` with their counts in a real Redis server."""

import asyncio
from collections.abc import Iterator

import pytest
from pydantic import SecretStr, ValidationError

from bench.servers.redis_server import RedisServer, redis_server
from tests.gateway.conftest import Start
from videoworker.gateway.foley.rates import Rates
from videoworker.gateway.settings import GatewaySettings

CALL = "/gradio_api/call/generate"


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


@pytest.mark.needs_redis_server
def test_redis(redis: RedisServer, start: Start) -> None:
    """Two gateways at once let through what one would. A third one, which starts later, knows of it."""

    async def admitted() -> int:
        gateways = [Rates(20, redis.url), Rates(20, redis.url)]
        calls = [rates.admits("127.0.0.1") for _ in range(30) for rates in gateways]
        return sum(await asyncio.gather(*calls))

    assert asyncio.run(admitted()) == 20
    gateway = start("hunyuanvideo-foley", rate_limit_storage=SecretStr(redis.url))
    refused = gateway.post(CALL, {"data": ["x", "", 1, "low", "mp4"]})
    assert (refused.status_code, refused.headers["X-RateLimit-Remaining"]) == (429, "0")
    redis.stop()  # then this one counts by itself
    assert gateway.head("/").headers["X-RateLimit-Remaining"] == "10"
    assert gateway.post(CALL, {"data": ["x", "", 1, "low", "mp4"]}).headers["X-RateLimit-Remaining"] == "9"


def test_wrong_url() -> None:
    with pytest.raises(ValidationError, match="rate_limit_storage") as raised:
        GatewaySettings(rate_limit_storage=SecretStr("memcached://:secret@host"))
    assert "secret" not in str(raised.value)
