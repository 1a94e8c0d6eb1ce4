"""The device that clips are made on, and the one checkpoint whose networks lie on it.

Ownership: only the thread that runs jobs uses it. What `use` returns is valid until the next `use` or `drop`.
"""

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Generic

import numpy as np
import structlog
import torch

from videoworker.canvas import Picture
from videoworker.engine.hardware import Hardware
from videoworker.engine.loading import reading
from videoworker.engine.mapped import run_from_files
from videoworker.engine.placing import place
from videoworker.families import family
from videoworker.families.family import Conditioning, Family, Networks
from videoworker.models.checkpoint import Checkpoint
from videoworker.models.video_model import VideoModel
from videoworker.planning.placement import Placement
from videoworker.sampling.reader import Reader
from videoworker.watch import Watch
from videoworker.weights.files import variants

# The conditioning of so many prompts stays on the device. Each has some MB.
_PROMPTS_KEPT = 16

_log = structlog.get_logger()


@dataclass(frozen=True)
class Loaded(Generic[Networks, Conditioning]):
    """A checkpoint that can be used now. `encode(prompts, picture)` is the family's `encode_prompts`. It remembers its
    last results, since jobs often have the same prompts."""

    checkpoint: Checkpoint
    placement: Placement
    family: Family[Networks, Conditioning]
    networks: Networks
    encode: Callable[[tuple[str, ...], Picture | None], tuple[tuple[Conditioning, ...], int]]


class Device(Hardware):
    """`placement` is the last one that `use` was called with."""

    def __init__(self, cpu_for_all: bool = False) -> None:
        super().__init__(cpu_for_all)
        self.loaded: Loaded[Any, Any] | None = None
        self.placement = Placement.RESIDENT
        self._is_used = False

    def use(self, model: VideoModel, folder: Path, placement: Placement, watch: Watch) -> Loaded[Any, Any]:
        """The networks of the checkpoint in `folder`, which is whole, placed.

        They are read if another checkpoint's lie here, or if they lie here with another placement. If more networks lie
        here than the model needs, they stay. What lies here is freed first. Raises `JobError`: MODEL_NOT_LOADED if the
        files cannot be read, or the watch's, which is checked with every tensor. Nothing lies here then.
        """
        if self.loaded is not None and self.placed(model.checkpoint, placement):
            return self.loaded
        self.drop()
        self.placement, self._is_used = placement, True
        started = time.monotonic()
        with watch.stage("load"):
            self.loaded = self._load(model, folder, placement, watch)
        _log.info(
            "weights loaded",
            model=model.name,
            variant=model.variant,
            placement=placement,
            licence=model.checkpoint.licence,
            restrictions=model.checkpoint.notes,
            seconds=round(time.monotonic() - started, 2),
        )
        return self.loaded

    def placed(self, checkpoint: Checkpoint, wanted: Placement) -> Placement | None:
        """Where the checkpoint's networks lie, if what asks for `wanted` can be made with them as they do."""
        loaded = self.loaded
        if loaded is None or not loaded.checkpoint.has(checkpoint) or not loaded.placement.serves(wanted):
            return None
        return loaded.placement

    def drop(self) -> None:
        """Frees what lies here, also what a load left that was given up."""
        self.loaded = None
        if not self._is_used:
            return
        self.release()

    def release(self) -> None:
        """Gives back the memory of networks that nobody holds any more."""
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def _load(self, model: VideoModel, folder: Path, placement: Placement, watch: Watch) -> Loaded[Any, Any]:
        checkpoint = model.checkpoint
        found = family(model.family)
        home = self.device if placement is Placement.RESIDENT else torch.device("cpu")
        with reading(checkpoint, watch):
            marks = variants(checkpoint, folder)
            dtypes = self.dtypes(checkpoint)
            stored = self.stored_dtypes(checkpoint, folder) if placement is Placement.MAPPED else {}
            networks = found.load(Reader(folder, home, dtypes, marks, checkpoint.places, stored))
            if placement is Placement.MAPPED:
                run_from_files(networks, checkpoint, folder, dtypes, stored)
            elif placement is not Placement.RESIDENT:
                networks = place(networks, checkpoint, self.device, placement)
        return Loaded(checkpoint, placement, found, networks, _remembering(found, networks))


def _remembering(
    family: Family[Networks, Conditioning], networks: Networks
) -> Callable[[tuple[str, ...], Picture | None], tuple[tuple[Conditioning, ...], int]]:
    @lru_cache(_PROMPTS_KEPT)
    def encode(
        prompts: tuple[str, ...], picture: bytes, shape: tuple[int, ...]
    ) -> tuple[tuple[Conditioning, ...], int]:
        image = np.frombuffer(picture, np.uint8).reshape(shape) if picture else None
        return family.encode_prompts(networks, prompts, image)

    def encode_picture(prompts: tuple[str, ...], picture: Picture | None) -> tuple[tuple[Conditioning, ...], int]:
        seen = np.empty(0, np.uint8) if picture is None else picture
        return encode(prompts, seen.tobytes(), seen.shape)

    return encode_picture
