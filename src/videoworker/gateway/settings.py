"""Every environment variable that the gateway reads. Those of a bucket are the worker's, in `videoworker.settings`."""

import re
from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from videoworker.database.url import DatabaseUrl
from videoworker.settings import BaseUrl


def _of_redis(value: SecretStr) -> SecretStr:
    if not re.match(r"rediss?://[^/]", value.get_secret_value()):
        raise ValueError("must be redis://<host>:<port>/<number> or rediss://")
    return value


RedisUrl = Annotated[SecretStr, AfterValidator(_of_redis)]  # it may hold a password


class GatewaySettings(BaseSettings):
    """Read once from the environment. Raises `pydantic.ValidationError` naming the variable that is wrong."""

    model_config = SettingsConfigDict(
        env_ignore_empty=True, frozen=True, extra="ignore", validate_default=True, hide_input_in_errors=True
    )

    endpoint_url: BaseUrl | None = Field(
        None,
        pattern=r"^https?://",
        description="URL of the endpoint, such as `https://api.runpod.ai/v2/<id>`; `videoworker serve` sets it",
    )
    endpoint_api_key: SecretStr | None = Field(None, description="key with which the endpoint is called")
    port: int | None = Field(
        None, ge=0, le=65535, description="port to listen on; empty: that of the API's document, 8000 for several APIs"
    )
    port_health: int | None = Field(
        None,
        ge=0,
        le=65535,
        description="port to listen on as well, where a load-balancing endpoint asks for `/ping`; empty: none",
    )
    gateway_database_url: DatabaseUrl = Field(
        SecretStr("sqlite:///gateway.db"),
        description="database of the gateway's jobs: `sqlite:///<path>` or `postgresql://...`",
    )
    gateway_folder: Path = Field(
        Path("gateway"), description="folder for the videos that are not in a bucket whose key the gateway has"
    )
    keep_days: float | None = Field(
        None,
        gt=0,
        description="after how many days a job that has ended is deleted, with its video; empty: never, so that only "
        "callers delete",
    )
    public_base_url: BaseUrl | None = Field(
        None, pattern=r"^https?://", description="URL at which callers reach the gateway, for absolute links"
    )
    webhook_base_url: BaseUrl | None = Field(
        None,
        pattern=r"^https?://",
        description="URL at which the endpoint reaches the gateway; empty: PUBLIC_BASE_URL; both empty: no webhooks",
    )
    forwarded_allow_ips: str | None = Field(
        None,
        description="addresses of proxies whose `X-Forwarded-For` and `-Proto` are believed, separated by commas; "
        "empty: none",
    )
    cancel_on_disconnect: bool = Field(
        True, description="whether a job is cancelled if its caller hangs up while it waits for the video"
    )
    probe_seconds: float = Field(
        60,
        ge=0,
        description="how old what `/health` tells of a worker may be, before an idle one is asked by a job of "
        "milliseconds; 0: none is asked",
    )
    cogvideox_tokens: SecretStr | None = Field(
        None,
        description="tokens with which `cogvideox` may be asked for videos, separated by commas; one may be given as "
        "`sha256:` and its hash",
    )
    cogvideox_tokens_file: Path | None = Field(
        None, description="file with the hashes of more tokens, a line each: `sha256:` and 64 hexadecimal digits"
    )
    hunyuan_max_queue_size: int = Field(
        10, ge=1, description="how many jobs of `hunyuanvideo-1.5` may wait; then the answer is 503"
    )

    burst: int = Field(
        20,
        ge=10,
        le=100,
        description="how many requests of `hunyuanvideo-foley` an address may send at once; 10 a minute over time",
    )
    rate_limit_storage: RedisUrl | None = Field(
        None,
        description="Redis server that counts those requests, `redis://<host>:<port>/<number>` or `rediss://...`; "
        "empty: they are counted in memory, until the gateway ends",
    )

    @property
    def keep_seconds(self) -> float | None:
        """How long a job is kept after its end. None: until a caller deletes it."""
        return None if self.keep_days is None else self.keep_days * 24 * 3600

    @property
    def webhooks_at(self) -> str | None:
        """Where the endpoint reaches this gateway. None: it cannot, so it is only polled."""
        return self.webhook_base_url or self.public_base_url


@cache
def settings() -> GatewaySettings:
    return GatewaySettings()
