"""The log on standard error: one JSON object per line on the platform, readable lines elsewhere.

What a caller wrote (prompts, images) is not logged, nor are URLs. Some other packages log every request at INFO. So
their loggers are heard from WARNING on, in the same form.
"""

import logging
import os
import sys

import structlog
from runpod import RunPodLogger
from structlog.typing import Processor

from videoworker.log_lines import to_stderr


def configure(on_platform: bool) -> None:
    """Sets the process's log up: JSON if `on_platform`."""
    # plain tracebacks: the richer ones have local variables in them, so prompts too
    rendering: list[Processor] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
        if on_platform
        else [
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)
        ]
    )
    common: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso"),
    ]
    lines = to_stderr()
    structlog.configure(
        processors=[*common, *rendering],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=lambda *_: lines,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=common,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
        )
    )
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)  # the SDK has set its own
    logging.captureWarnings(True)
    if not os.environ.keys() & {"RUNPOD_LOG_LEVEL", "RUNPOD_DEBUG_LEVEL"}:
        RunPodLogger.level = "INFO"  # the SDK's default, DEBUG, prints whole jobs and answers
