"""Where the log's lines go."""

import logging
import sys


def to_stderr() -> logging.Logger:
    """What writes whole lines to standard error. One that cannot be written, as on a full disk, is lost: structlog's
    own writer would raise into what is being done."""
    lines = logging.getLogger("videoworker")
    lines.handlers, lines.propagate = [logging.StreamHandler(sys.stderr)], False
    lines.setLevel(logging.INFO)
    return lines
