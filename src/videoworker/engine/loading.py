"""Hears cancel and time limit while weights are read, which can take minutes from a network volume. Says which weights
cannot be read.

The libraries that read weights take no callback. But they call torch for every tensor, on the thread that reads.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import structlog
import torch
from torch.overrides import TorchFunctionMode

from videoworker.errors import Code, JobError
from videoworker.models.checkpoint import Checkpoint
from videoworker.watch import Watch

_log = structlog.get_logger()


class _Checking(TorchFunctionMode):
    """Checks the watch before every call of torch."""

    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self._watch = watch

    def __torch_function__(
        self, func: Any, types: Iterable[type], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        self._watch.check()
        return func(*args, **(kwargs or {}))


@contextmanager
def checked(watch: Watch) -> Iterator[None]:
    """Within the block, torch's functions raise what `watch.check` raises. After it torch's default dtype is what it
    was: diffusers changes it while it reads, and does not change it back if it is interrupted."""
    dtype = torch.get_default_dtype()
    try:
        with _Checking(watch):
            yield
    finally:
        torch.set_default_dtype(dtype)


@contextmanager
def reading(checkpoint: Checkpoint, watch: Watch) -> Iterator[None]:
    """The block reads networks of a checkpoint. Raises `JobError`: MODEL_NOT_LOADED if the files cannot be read, or the
    watch's, which is checked with every tensor."""
    try:
        with checked(watch):
            yield
    except (torch.OutOfMemoryError, JobError):
        raise
    except Exception as error:  # damaged and foreign files make the libraries raise all kinds of errors
        watch.check()  # some libraries turn the watch's error into one of their own
        _log.exception("weights not readable", model=checkpoint.title)
        message = f"The weights of {checkpoint.title} cannot be read. To fetch them again: {checkpoint.how_to_fetch}"
        raise JobError(Code.MODEL_NOT_LOADED, message) from error
