"""A download that hears cancel and time limit. It runs in a process of its own, which can be ended at any moment.

Ownership: the job's thread starts the process and ends it. The process ends by itself if its parent is gone. What it
has downloaded by then is kept, and the next download continues it.
"""

import multiprocessing
import os
import sys
import threading
from multiprocessing.connection import Connection
from pathlib import Path

import structlog

from videoworker.errors import Code, JobError
from videoworker.models.checkpoint import Checkpoint
from videoworker.watch import Watch
from videoworker.weights.fetch import check_accepted, fetch

_CHECK_SECONDS = 0.1


def fetch_watched(checkpoint: Checkpoint, to: Path, watch: Watch, is_accepted: bool = False) -> Path:
    """As `fetch`. If `watch.check` raises, the download ends within a moment, and this raises the same. A licence that
    is not accepted is refused before a process is started."""
    check_accepted(checkpoint, is_accepted)
    context = multiprocessing.get_context("spawn")
    outcome, sender = context.Pipe(duplex=False)
    process = context.Process(target=_fetch, args=(checkpoint, to, is_accepted, sender), name="fetch", daemon=True)
    process.start()
    sender.close()
    try:
        while not outcome.poll(_CHECK_SECONDS):
            watch.check()
        problem = outcome.recv()
    except EOFError as error:
        message = f"The download of {checkpoint.title} ended early. To go on: {checkpoint.how_to_fetch}"
        raise JobError(Code.MODEL_NOT_LOADED, message) from error
    finally:
        process.kill()
        process.join()
        outcome.close()
    if problem is not None:
        raise JobError(Code.MODEL_NOT_LOADED, problem)
    return to / checkpoint.folder


def _fetch(checkpoint: Checkpoint, to: Path, is_accepted: bool, sender: Connection) -> None:
    """What the process does: it sends None, or the message of the error."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        fetch(checkpoint, to, is_accepted)
    except JobError as error:
        sender.send(error.message)
    else:
        sender.send(None)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
