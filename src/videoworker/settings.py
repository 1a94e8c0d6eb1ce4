"""Every environment variable that the worker reads, in one typed place.

RunPod's own (`RUNPOD_*`) belong to its SDK; those it sets and we read are named here too.
"""

from functools import cache
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

# The repository: the package is installed from it in place, and the shipped weights are found from any directory.
_ROOT = Path(__file__).resolve().parents[2]


class Settings(BaseSettings):
    """Read once from the environment. Raises `pydantic.ValidationError` naming the variable that is wrong."""

    model_config = SettingsConfigDict(env_ignore_empty=True, frozen=True, extra="ignore")

    api: str | None = Field(None, description="request format where a job's input names none; empty: native")
    model: str | None = Field(None, description="serve every API with this model; empty: each API's own model")
    weights_dir: Path = Field(_ROOT / "weights", description="where models' weights lie, one folder each")
    output_dir: Path = Field(Path("outputs"), description="where finished files go")
    job_timeout_seconds: float = Field(600, gt=0, description="longest time one job may take")
    max_output_bytes: int | None = Field(
        None, gt=0, description="largest file a job may give; empty: the API's own limit, where its document has one"
    )
    allow_private_urls: bool = Field(False, description="let `image` URLs point into private networks (tests only)")
    runpod_webhook_post_output: str | None = Field(None, description="set by the platform: where results are posted")


@cache
def settings() -> Settings:
    return Settings()
