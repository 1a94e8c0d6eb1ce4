"""The log of a service that runs on a terminal or under a supervisor: lines that people read, on standard error."""

import logging
import sys

import structlog

from videoworker.log_lines import to_stderr


def configure_log() -> None:
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
