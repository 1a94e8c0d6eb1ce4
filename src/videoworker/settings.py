"""Every environment variable that the worker reads, in one typed place.

RunPod's own (`RUNPOD_*`) belong to its SDK; those it sets and we read are named here too.
"""

from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

# The repository: the package is installed from it in place, and the shipped weights are found from any directory.
ROOT = Path(__file__).resolve().parents[2]


class Settings(BaseSettings):
    """Read once from the environment. Raises `pydantic.ValidationError` naming the variable that is wrong."""

    model_config = SettingsConfigDict(env_ignore_empty=True, frozen=True, extra="ignore")

    api: str | None = Field(None, description="request format where a job's input names none; empty: native")
    model: str | None = Field(None, description="serve every API with this model; empty: each API's own model")
    weights_dir: Path = Field(ROOT / "weights", description="where models' weights lie, one folder each")
    network_volume: Path = Field(
        Path("/runpod-volume"), description="network volume; weights in its `weights`, and RunPod's cached models"
    )
    allow_download: bool = Field(False, description="fetch weights that are nowhere on the machine from the hub")
    placement: Literal["resident", "text_encoder_offload", "one_denoiser", "group_offload", "fp8"] | None = Field(
        None, description="where weights lie while clips are made; empty: the fastest that fits into the GPU's memory"
    )
    output_dir: Path = Field(Path("outputs"), description="where finished files go")
    job_timeout_seconds: float = Field(600, gt=0, description="longest time one job may take")
    max_output_bytes: int | None = Field(
        None, gt=0, description="largest file a job may give; empty: the API's own limit, where its document has one"
    )
    allow_private_urls: bool = Field(False, description="let `image` URLs point into private networks (tests only)")
    delivery: Literal["bucket", "volume", "inline", "file"] | None = Field(
        None, description="where videos go; empty: the bucket where one is set, else inline on RunPod, else a file"
    )
    public_base_url: str | None = Field(
        None, description="where the endpoint that serves OUTPUT_DIR as `/files` is reached; set by `videoworker serve`"
    )
    bucket_endpoint_url: str | None = Field(None, description="URL of the S3 service, or of the bucket itself")
    bucket_access_key_id: SecretStr | None = Field(None, description="access key of the bucket")
    bucket_secret_access_key: SecretStr | None = Field(None, description="secret of that access key")
    bucket_name: str | None = Field(None, description="bucket; may be empty where the URL names it")
    bucket_region: str | None = Field(None, description="region that requests are signed for; empty: the URL's")
    bucket_prefix: str | None = Field(None, description="what object keys begin with")
    bucket_presign_ttl_seconds: int = Field(
        604_800, ge=60, le=604_800, description="how long a URL of a video can be used (S3's most: 7 days)"
    )
    bucket_public_base_url: str | None = Field(
        None, description="where the bucket is read without a signature, a CDN for example; empty: signed URLs"
    )
    allow_job_s3_config: bool = Field(False, description="deliver into the bucket that a job's `s3Config` names")
    refresh_worker_after_jobs: int | None = Field(
        None, gt=0, description="end the worker after so many jobs, for a fresh one; empty: it goes on"
    )
    metrics_port: int | None = Field(
        None,
        gt=0,
        lt=65536,
        description="port where Prometheus reads the worker's metrics (of `videoworker serve`: the first worker's, the "
        "next one's is one higher); empty: none",
    )
    runpod_webhook_post_output: str | None = Field(None, description="set by the platform: where results are posted")


class SdkSettings(BaseSettings):
    """What RunPod's SDK reads as it is imported, where a wrong value would end the process with a traceback. Raises
    `pydantic.ValidationError` naming the variable."""

    model_config = SettingsConfigDict(extra="ignore")

    runpod_log_level: Annotated[
        Literal["NOTSET", "TRACE", "DEBUG", "INFO", "WARN", "ERROR"], BeforeValidator(str.upper)
    ] = "INFO"


@cache
def settings() -> Settings:
    return Settings()
