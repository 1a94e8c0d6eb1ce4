"""RunPod's job API, the workers behind it and HTTP APIs before it, in one process and its children."""

import os
import shutil
import socket
import subprocess
import sys

import typer
from pydantic import SecretStr
from sqlalchemy.exc import SQLAlchemyError

from videoworker import apis
from videoworker.commands.private_files import keep_private
from videoworker.commands.service_log import configure_log
from videoworker.database.database import DatabaseInUseError
from videoworker.database.faults import why_not_opened
from videoworker.endpoint import server, video_links
from videoworker.endpoint.settings import EndpointSettings
from videoworker.endpoint.settings import settings as endpoint_settings
from videoworker.http.caller_access import is_loopback
from videoworker.http.listening import CannotStartError, listening, url_of
from videoworker.settings import ROOT, settings

_GATEWAYS_OWN = ("ENDPOINT_API_KEY", "GATEWAY_DATABASE_URL", "COGVIDEOX_TOKENS")


def serve_all(api: list[str], workers: int | None, host: str | None, port: int | None) -> None:
    """Serves until a signal ends it. The arguments are the options of `videoworker serve`."""
    current, endpoint = settings(), endpoint_settings()
    apis.select({}, current.api)
    count = max(1, len(_gpus())) if workers is None else workers
    if current.metrics_port is not None and current.metrics_port + count > 65536:
        last = current.metrics_port + count - 1
        sys.exit(f"METRICS_PORT: {count} workers need {current.metrics_port} to {last}; the highest port is 65535.")
    keep_private()
    configure_log()
    files = current.output_dir.resolve()
    beside = None
    try:
        if api:
            sock = listening("127.0.0.1", 0)[0]
            base_url = at = url_of(sock)
            beside = _front(api, host or "localhost", port, f"{at}/v2/{endpoint.endpoint_id}")
            endpoint = endpoint.model_copy(update={"webhook_private_addresses": True})  # those of the gateway
        else:
            sock = _socket(host or "127.0.0.1", endpoint.port if port is None else port, endpoint)
            at = url_of(sock)
            base_url = current.public_base_url or at
    except CannotStartError as error:
        sys.exit(str(error))
    links = video_links.path(endpoint.keys) if endpoint.keys else ""
    common = {"PUBLIC_BASE_URL": f"{base_url}{links}", "OUTPUT_DIR": str(files)}
    if "metrics_host" not in current.model_fields_set and host is not None:
        common["METRICS_HOST"] = host
    environments = [
        common | device | _metrics(current.metrics_port, index) for index, device in enumerate(_devices(count))
    ]
    command = [sys.executable, "-u", str(ROOT / "handler.py")]
    typer.echo(f"serving {at}/v2/{endpoint.endpoint_id} with {count} worker{'' if count == 1 else 's'}")
    try:
        server.serve(server.Place(sock, at, files), server.Workers(command, environments), endpoint, beside)
    except (DatabaseInUseError, CannotStartError) as error:
        sys.exit(str(error))
    except (SQLAlchemyError, OSError) as error:
        sys.exit(f"DATABASE_URL: {why_not_opened(error)}")


def _socket(host: str, port: int, endpoint: EndpointSettings) -> socket.socket:
    """Where the job API listens. Raises `CannotStartError`."""
    if not endpoint.keys and not is_loopback(host):
        raise CannotStartError(f"--host {host}: set API_KEYS to serve beyond this machine.")
    return listening(host, port)[0]


def _front(api: list[str], host: str, port: int | None, endpoint_url: str) -> server.Beside:
    """Serves the APIs over the endpoint of this process. What the workers make is the gateway's alone. Raises
    `CannotStartError`."""
    # what these import is not in the worker's image, which has this command too
    from videoworker.commands.front import Front
    from videoworker.gateway.server import opened
    from videoworker.gateway.settings import settings as gateway_settings

    given, keys = gateway_settings(), endpoint_settings().keys
    front = Front(api, host, port, given)
    own = given.model_copy(
        update={
            "endpoint_url": endpoint_url,
            "endpoint_api_key": SecretStr(keys[0]) if keys else None,
            "webhook_base_url": front.url,
        }
    )
    for name in _GATEWAYS_OWN:
        os.environ.pop(name, None)  # workers inherit the rest
    return lambda ending: front.serve(opened(own, settings(), settings().output_dir.resolve()), ending)


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
