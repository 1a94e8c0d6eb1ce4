"""`videoworker serve`: RunPod's job API and the workers behind it, on this machine."""

import logging
import os
import shutil
import socket
import subprocess
import sys
from typing import Annotated

import structlog
import typer
from sqlalchemy.exc import SQLAlchemyError

from videoworker import apis
from videoworker.database.database import DatabaseInUseError
from videoworker.endpoint import server, video_links
from videoworker.endpoint.settings import settings as endpoint_settings
from videoworker.http.caller_access import is_loopback
from videoworker.log_lines import to_stderr
from videoworker.settings import ROOT, settings

# What this process and its workers write is for this user alone: jobs and videos are their callers' own.
_PRIVATE = 0o077


def serve(
    api: Annotated[str | None, typer.Option(help="request format if a job names none; takes the place of API")] = None,
    workers: Annotated[int | None, typer.Option(min=0, help="how many; by default one per GPU, at least one")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="0: any that is free; by default PORT, else 8000")
    ] = None,
    host: Annotated[
        str, typer.Option(help="address to listen on; this machine's, unless API_KEYS is set")
    ] = "127.0.0.1",
) -> None:
    """Serves RunPod's job API on one machine, with workers that are kept running."""
    current, endpoint = settings(), endpoint_settings()
    port = endpoint.port if port is None else port
    apis.select({}, api or current.api)
    if not endpoint.keys and not is_loopback(host):
        sys.exit(f"--host {host}: set API_KEYS to serve beyond this machine.")
    count = max(1, len(_gpus())) if workers is None else workers
    if current.metrics_port is not None and current.metrics_port + count > 65536:
        last = current.metrics_port + count - 1
        sys.exit(f"METRICS_PORT: {count} workers need {current.metrics_port} to {last}; the highest port is 65535.")
    os.umask(_PRIVATE)
    _configure_log()
    try:
        sock = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        sys.exit(f"--host {host} --port {port}: {error.strerror or error}")

    at = f"http://{'127.0.0.1' if host == '0.0.0.0' else f'[{host}]' if ':' in host else host}:{sock.getsockname()[1]}"
    links = video_links.path(endpoint.keys) if endpoint.keys else ""
    common = {
        "PUBLIC_BASE_URL": f"{current.public_base_url or at}{links}",
        "OUTPUT_DIR": str(current.output_dir.resolve()),
    }
    if "metrics_host" not in current.model_fields_set:
        common["METRICS_HOST"] = host
    if api:
        common["API"] = api
    environments = [
        common | device | _metrics(current.metrics_port, index) for index, device in enumerate(_devices(count))
    ]
    command = [sys.executable, "-u", str(ROOT / "handler.py")]
    typer.echo(f"serving {at}/v2/{endpoint.endpoint_id} with {count} worker{'' if count == 1 else 's'}")
    try:
        server.serve(sock, at, server.Workers(command, environments), current.output_dir.resolve(), endpoint)
    except DatabaseInUseError as error:
        sys.exit(f"DATABASE_URL: {error}")
    except (SQLAlchemyError, OSError) as error:
        sys.exit(f"DATABASE_URL: {str(getattr(error, 'orig', error)).splitlines()[0]}")


def _gpus() -> list[str]:
    """What CUDA_VISIBLE_DEVICES names, else all that NVIDIA's driver lists."""
    if (visible := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return [one for one in visible.split(",") if one.strip()]
    if shutil.which("nvidia-smi") is None:
        return []
    query = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
    listed = subprocess.run(query, capture_output=True, text=True)
    return listed.stdout.split() if listed.returncode == 0 else []


def _devices(count: int) -> list[dict[str, str]]:
    """The environment of each worker: one GPU each. If there are more workers than GPUs, they share them in turn."""
    gpus = _gpus()
    return [{"CUDA_VISIBLE_DEVICES": gpus[index % len(gpus)]} if gpus else {} for index in range(count)]


def _metrics(first_port: int | None, index: int) -> dict[str, str]:
    """The environment that gives worker `index` a port of its own; none if metrics are not served."""
    return {} if first_port is None else {"METRICS_PORT": str(first_port + index)}


def _configure_log() -> None:
    lines = to_stderr()
    # plain tracebacks: the richer ones show local variables, prompts and secrets among them
    readable = structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="%Y-%m-%d %H:%M:%S", utc=False),
            readable,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=lambda *_: lines,
    )
    logging.basicConfig(level=logging.WARNING)
