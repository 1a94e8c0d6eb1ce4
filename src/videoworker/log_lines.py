"""Where log lines go: to standard error."""

import logging
import sys


def to_stderr() -> logging.Logger:
    """A logger that writes each message to standard error as it is, one per line.

    It is structlog's output. structlog's own writer raises if a line cannot be written, for example to a full disk.
    That would end the job that wanted to log. This logger loses the line instead.
    """
    lines = logging.getLogger("videoworker")
    lines.handlers, lines.propagate = [logging.StreamHandler(sys.stderr)], False
    lines.setLevel(logging.INFO)
    return lines
