"""Hears cancel and time limit while weights are read, which can take minutes from a network volume.

The libraries that read weights take no callback. But they call torch for every tensor, on the thread that reads.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from videoworker.watch import Watch


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
