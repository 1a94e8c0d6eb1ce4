"""The device that clips are made on, and the one checkpoint whose networks lie on it.

Ownership: only the thread that runs jobs uses it. What `use` returns is valid until the next `use` or `drop`.
"""

import gc
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Generic

import numpy as np
import structlog
import torch

from videoworker.canvas import Picture
from videoworker.engine.loading import reading
from videoworker.engine.placing import place
from videoworker.families import family
from videoworker.families.family import Conditioning, Family, Networks
from videoworker.models.checkpoint import Checkpoint, Component
from videoworker.models.video_model import VideoModel
from videoworker.planning.placement import Placement, WeightBytes, bytes_by_role
from videoworker.sampling.reader import Reader
from videoworker.watch import Watch
from videoworker.weights.files import variants
from videoworker.weights.parameters import network_bytes

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


class Device:
    """A GPU if there is one, else the processor. `placement` is the last one that `use` was called with."""

    def __init__(self) -> None:
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.loaded: Loaded[Any, Any] | None = None
        self.placement = Placement.RESIDENT
        self._is_used = False

    @property
    def is_gpu(self) -> bool:
        return self.device.type != "cpu"

    @property
    def free_bytes(self) -> int:
        """Bytes of the GPU that this process has or could have."""
        free, _ = torch.cuda.mem_get_info(self.device)
        return free + torch.cuda.memory_reserved(self.device)

    @property
    def held_bytes(self) -> int:
        """Bytes of the GPU that tensors of this process lie in."""
        return torch.cuda.memory_allocated(self.device)

    def weight_bytes(self, checkpoint: Checkpoint, folder: Path) -> WeightBytes:
        """The bytes that the networks of a checkpoint need here."""
        item_bytes = {name: dtype.itemsize for name, dtype in self.dtypes(checkpoint).items()}
        return bytes_by_role(checkpoint, network_bytes(checkpoint, folder, item_bytes))

    def use(self, model: VideoModel, folder: Path, placement: Placement, watch: Watch) -> Loaded[Any, Any]:
        """The networks of the checkpoint in `folder`, which is whole, placed.

        They are read if another checkpoint's lie here, or if they lie here with another placement. What lies here is
        freed first. Raises `JobError`: MODEL_NOT_LOADED if the files cannot be read, or the watch's, which is checked
        with every tensor. Nothing lies here then.
        """
        if self.loaded is not None and self._serves(self.loaded, model, placement):
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

    @staticmethod
    def _serves(loaded: Loaded[Any, Any], model: VideoModel, placement: Placement) -> bool:
        return loaded.checkpoint == model.checkpoint and loaded.placement.serves(placement)

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
            networks = found.load(Reader(folder, home, self.dtypes(checkpoint), marks, checkpoint.places))
            if placement is not Placement.RESIDENT:
                networks = place(networks, checkpoint, self.device, placement)
        return Loaded(checkpoint, placement, found, networks, _remembering(found, networks))

    def dtypes(self, checkpoint: Checkpoint) -> Mapping[str, torch.dtype]:
        """The dtype of each network, by its name: on a GPU the declared one. A processor that computes in 16 bits does
        so in bfloat16. Others compute in float32, which is faster there."""
        return {component.name: getattr(torch, self._dtype(component)) for component in checkpoint.components}

    def _dtype(self, component: Component) -> str:
        if self.device.type == "cuda" or component.dtype == "float32":
            return component.dtype
        return "bfloat16" if _computes_in_16_bits() else "float32"


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


def _computes_in_16_bits() -> bool:
    """Whether the processor does so."""
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_tile"))
