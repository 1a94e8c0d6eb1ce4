"""Every environment variable that the endpoint reads. Those of its workers are in `videoworker.settings`."""

from functools import cache

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from standardwebhooks import Webhook
from standardwebhooks.webhooks import EmptyWebhookSecretError

from videoworker.database.url import DatabaseUrl


class EndpointSettings(BaseSettings):
    """Read once from the environment. Raises `pydantic.ValidationError` naming the variable that is wrong."""

    model_config = SettingsConfigDict(
        env_ignore_empty=True, frozen=True, extra="ignore", validate_default=True, hide_input_in_errors=True
    )

    endpoint_id: str = Field("local", pattern=r"^[A-Za-z0-9_-]+$", description="id of the endpoint, in `/v2/<id>/run`")
    port: int = Field(8000, ge=0, le=65535, description="port to listen on; a Pod of RunPod's Hub is called at 80")
    database_url: DatabaseUrl = Field(
        SecretStr("sqlite:///jobs.db"), description="database of the jobs: `sqlite:///<path>` or `postgresql://...`"
    )
    api_keys: SecretStr | None = Field(
        None, description="keys that callers may use, separated by commas; empty: only this machine may call"
    )
    worker_token: SecretStr | None = Field(
        None,
        min_length=16,
        description="what workers that you start yourself send as `RUNPOD_AI_API_KEY`; empty: only those that "
        "`videoworker serve` starts are let in",
    )
    max_attempts: int = Field(3, ge=1, description="how often a job is started if its workers are lost; then it fails")
    heartbeat_timeout_seconds: float = Field(30, ge=3, description="a worker that is silent for so long loses its jobs")
    hang_timeout_seconds: float = Field(
        60,
        ge=3,
        description="a worker that asks for nothing for so long, or still runs a job so long after its end, hangs",
    )
    max_queued_bytes: int = Field(1 << 30, gt=0, description="how much the jobs that wait may hold; then /run refuses")
    execution_timeout_seconds: float = Field(
        14_400, gt=0, description="longest time a job may run, if its policy does not say"
    )
    ttl_seconds: float = Field(86_400, gt=0, description="longest time until a job is done, if its policy does not say")
    retention_seconds: float = Field(1800, gt=0, description="how long the result of a `/run` is kept")
    sync_retention_seconds: float = Field(60, gt=0, description="how long the result of a `/runsync` is kept")
    webhook_secret: SecretStr | None = Field(
        None, description="signs webhooks as Standard Webhooks does: `whsec_` and base64"
    )
    webhook_retry_seconds: float = Field(10, gt=0, description="time between the three attempts at a webhook")
    webhook_private_addresses: bool | None = Field(
        None, description="let webhooks go to private addresses; empty: only if API_KEYS is empty"
    )

    @field_validator("webhook_secret")
    @classmethod
    def _usable_secret(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            try:
                Webhook(value.get_secret_value())
            except (ValueError, EmptyWebhookSecretError):
                raise ValueError("must be whsec_ followed by base64") from None
        return value

    @field_validator("worker_token")
    @classmethod
    def _no_caller_is_a_worker(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if value is not None and value.get_secret_value() in _separated(info.data.get("api_keys")):
            raise ValueError("must not be one of API_KEYS")
        return value

    @property
    def keys(self) -> tuple[str, ...]:
        """The API keys. Without any, only programs on this machine may call."""
        return _separated(self.api_keys)

    @property
    def private_webhooks(self) -> bool:
        """Whether webhooks may go to addresses that are not public."""
        return not self.keys if self.webhook_private_addresses is None else self.webhook_private_addresses


def _separated(keys: SecretStr | None) -> tuple[str, ...]:
    return tuple(key.strip() for key in keys.get_secret_value().split(",") if key.strip()) if keys else ()


@cache
def settings() -> EndpointSettings:
    return EndpointSettings()
