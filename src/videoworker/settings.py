"""Every environment variable that the worker reads, in one typed place.

RunPod's own variables (`RUNPOD_*`) belong to its SDK. Those that we read too stand here as well.
"""

from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from videoworker.effort import Effort

# The repository. The package is installed from it in place, so the shipped weights are found from any directory.
ROOT = Path(__file__).resolve().parents[2]


# However it is written, paths are put behind it.
BaseUrl = Annotated[str, AfterValidator(lambda url: url.rstrip("/"))]


class Settings(BaseSettings):
    """Read once from the environment. Raises `pydantic.ValidationError` naming the variable that is wrong."""

    model_config = SettingsConfigDict(env_ignore_empty=True, frozen=True, extra="ignore")

    api: str | None = Field(None, description="request format if a job's input names none; empty: native")
    model: str | None = Field(
        None,
        description="serve every API with this model; if it makes sounds, only add these to given videos; empty: each "
        "API's own model",
    )
    weights_dir: Path = Field(ROOT / "weights", description="folder of the weights, with one folder for each model")
    network_volume: Path = Field(
        Path("/runpod-volume"), description="network volume; has weights in `weights`, and RunPod's cached models"
    )
    allow_download: bool = Field(False, description="fetch weights from the hub if they are nowhere on the machine")
    accept_tencent_license: bool = Field(
        False,
        description="the operator accepts Tencent's licence, which leaves out the European Union, the United Kingdom "
        "and South Korea; else weights under it are not fetched",
    )
    placement: Literal["resident", "text_encoder_offload", "one_denoiser", "group_offload", "fp8"] | None = Field(
        None, description="where weights lie while clips are made; empty: the fastest that fits into the GPU's memory"
    )
    cpu: Literal["allow"] | None = Field(
        None,
        description="allow: without a GPU the processor runs every model, which can take hours; empty: only small ones",
    )
    keep_timings: bool = Field(
        True,
        description="keep how long jobs took in `timings.json` beside the weights, for estimates after a restart; "
        "false: in memory alone",
    )
    effort: Effort | None = Field(
        None, description="computation that is spent on a video if its request does not say; empty: the model's default"
    )
    output_dir: Path = Field(Path("outputs"), description="folder for finished files")
    job_timeout_seconds: float | None = Field(
        None,
        gt=0,
        description="longest time that one job may take; empty: its policy.executionTimeout, or the platform's limit",
    )
    max_output_bytes: int | None = Field(
        None, gt=0, description="largest file that a job may make; empty: the limit of the API's document, if any"
    )
    allow_private_urls: bool = Field(
        False, description="let URLs in `image` and `video` point into private networks (tests only)"
    )
    previews: bool = Field(
        True, description="send a small picture of what emerges with a job's progress, about each second; false: none"
    )
    delivery: Literal["bucket", "volume", "inline", "file"] | None = Field(
        None,
        description="where videos go; empty: the bucket if one is set, else inline on RunPod, else a file; on a volume "
        "user 1000 must have the folder `videos`",
    )
    public_base_url: BaseUrl | None = Field(
        None, description="URL of the endpoint that serves OUTPUT_DIR as `/files`; `videoworker serve` sets it"
    )
    bucket_endpoint_url: BaseUrl | None = Field(None, description="URL of the S3 service, or of the bucket itself")
    bucket_access_key_id: SecretStr | None = Field(None, description="access key of the bucket")
    bucket_secret_access_key: SecretStr | None = Field(None, description="secret of that access key")
    bucket_name: str | None = Field(None, description="name of the bucket; may be empty if the URL has it")
    bucket_region: str | None = Field(
        None, description="region that requests are signed for; empty: the URL's, or what the store names"
    )
    bucket_prefix: str | None = Field(None, description="what object keys begin with")
    bucket_presign_ttl_seconds: int = Field(
        604_800, ge=60, le=604_800, description="how long a video's URL is valid (S3 allows 7 days at most)"
    )
    bucket_public_base_url: BaseUrl | None = Field(
        None, description="URL at which the bucket is read without a signature, for example a CDN's; empty: signed URLs"
    )
    ssl_cert_file: Path | None = Field(
        None, description="file of the certificate authorities that a bucket may have (PEM); empty: the usual ones"
    )
    allow_job_s3_config: bool = Field(False, description="deliver into the bucket that a job's `s3Config` names")
    mark: bool = Field(
        True, description="mark files as made by a model; false: no digital source type, no XMP, no C2PA manifest"
    )
    c2pa_certificate: SecretStr | None = Field(
        None, description="certificate chain that C2PA manifests are signed with, the signer's first: PEM, or a file"
    )
    c2pa_private_key: SecretStr | None = Field(
        None, description="private key of the first certificate in C2PA_CERTIFICATE: PEM, or a file"
    )
    c2pa_timestamp_url: str | None = Field(
        None, description="URL of a time-stamp authority (RFC 3161) for C2PA manifests; empty: no time stamps"
    )
    refresh_worker_after_jobs: int | None = Field(
        None, gt=0, description="number of jobs after which a fresh worker takes over; empty: never"
    )
    metrics_port: int | None = Field(
        None,
        gt=0,
        lt=65536,
        description="port of the worker's metrics for Prometheus; each further worker of `videoworker serve` has the "
        "next port; empty: none",
    )
    metrics_host: str = Field(
        "127.0.0.1",
        description="address that the metrics are served on, without a key; `videoworker serve` sets its `--host` if "
        "this is empty; in a container: 0.0.0.0",
    )
    runpod_pod_id: str | None = Field(None, description="name of RunPod's machine; the platform sets it")
    runpod_gpu_count: int | None = Field(None, ge=0, description="number of its GPUs; the platform sets it")
    runpod_skip_gpu_check: bool = Field(False, description="whether the SDK leaves GPUs unchecked")
    runpod_webhook_post_output: str | None = Field(None, description="URL for results; the platform sets it")


class SdkSettings(BaseSettings):
    """What RunPod's SDK reads when it is imported. It would end the process with a traceback if a value is wrong.
    Raises `pydantic.ValidationError` naming the variable."""

    model_config = SettingsConfigDict(extra="ignore")

    runpod_log_level: Annotated[
        Literal["NOTSET", "TRACE", "DEBUG", "INFO", "WARN", "ERROR"], BeforeValidator(str.upper)
    ] = "INFO"


@cache
def settings() -> Settings:
    return Settings()


def what_is_wrong(error: ValidationError) -> str:
    """One line that names the variables. It repeats no value: a secret may stand where it does not belong."""
    return "; ".join(f"{'.'.join(map(str, wrong['loc'])).upper()}: {wrong['msg']}" for wrong in error.errors())
