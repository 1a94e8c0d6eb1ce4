"""A worker from its start to its end: log, checks, weights, then the platform's loop."""

import math
import sys
from functools import partial

import runpod
import structlog

from videoworker import __version__, apis, job, workspace
from videoworker.delivery import destinations
from videoworker.engine.engine import Engine
from videoworker.errors import JobError
from videoworker.media import marks
from videoworker.settings import Settings
from videoworker.watch import Watch
from videoworker.worker import fitness, log, metrics, platform_key, probe, scaler, summary
from videoworker.worker.handler import Handler


def serve(current: Settings) -> None:
    """Loads, then serves until the platform ends the process. If it cannot serve, it exits with one line."""
    on_platform = current.runpod_webhook_post_output is not None
    log.configure(on_platform)
    if current.metrics_port is not None:
        _serve_metrics(current.metrics_host, current.metrics_port)
    try:
        apis.select({}, current.api)
        engine = Engine(current)
        checks: dict[str, fitness.Check] = {
            "marks": partial(marks.prove, current, _start_watch()),
            "delivery": partial(destinations.prove, current),
            "disk": partial(fitness.check_disk, current),
            "device": partial(fitness.check_device, current),
            "weights": partial(_load, engine, current),
        }
        workspace.remove_left_behind()
        fitness.run_or_register(on_platform, checks)
    except JobError as error:
        sys.exit(error.line)

    handler = Handler(current, partial(job.run, engine=engine, settings=current))
    handler.config["handler"] = probe.answering(handler.handle, engine)
    scaler.install()
    platform_key.install()
    try:
        runpod.serverless.start(handler.config)
    finally:  # outside the platform the SDK ends the process after one job
        if handler.last_result and not on_platform:
            print(summary.line(handler.last_result))


def _load(engine: Engine, current: Settings) -> None:
    """Loads the weights. Raises `JobError` if the configured model does not exist, or its weights are absent or not
    whole."""
    api = apis.select({}, current.api)
    model = engine.survey().to_load(current, api.model, api.takes_video)
    engine.load(model, _start_watch())
    # The words for which the document of `hunyuanvideo-foley` has operators look.
    structlog.get_logger().info("Model loaded successfully", api=api.name, model=model.name, version=__version__)


def _start_watch() -> Watch:
    """That of what is done before the first job: nobody hears it, and it has no limit."""
    return Watch("start", lambda _: None, math.inf)


def _serve_metrics(host: str, port: int) -> None:
    try:
        metrics.serve(host, port)
    except OSError as error:
        sys.exit(f"METRICS_HOST, METRICS_PORT: {error.strerror or error} (given: {host}, {port})")
