"""The hardware that networks compute on: what it is, what it can, and what it has room for."""

import platform
import re
import time
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

import torch

from videoworker.engine import host_memory
from videoworker.models.checkpoint import Checkpoint, Component, Role
from videoworker.planning.placement import ITEM_BYTES, WeightBytes, bytes_by_role
from videoworker.weights.parameters import network_bytes, stored_dtype

# Tokens and channels of a layer to try out.
_LAYER = (512, 2048)


class Hardware:
    """A GPU if there is one, else the processor. `cpu_for_all`: whether that may run networks that want a GPU."""

    def __init__(self, cpu_for_all: bool = False) -> None:
        self._cpu_for_all = cpu_for_all
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

    @property
    def is_gpu(self) -> bool:
        return self.device.type != "cpu"

    @property
    def runs_all(self) -> bool:
        """Whether it runs networks of any size. If so, its memory has to be counted."""
        return self.is_gpu or self._cpu_for_all

    @property
    def memory(self) -> str:
        """What its memory is called."""
        return "GPU memory" if self.is_gpu else "memory"

    @property
    def name(self) -> str:
        """Devices of the same name take the same time: that of the GPU, or of the processor with its threads."""
        if self.device.type == "cuda":
            return torch.cuda.get_device_name(self.device)
        return f"{_processor()}, {torch.get_num_threads()} threads"

    @property
    def free_bytes(self) -> int:
        """Bytes of its memory that this process has or could have."""
        if not self.is_gpu:
            return host_memory.free_bytes()
        free, _ = torch.cuda.mem_get_info(self.device)
        return free + torch.cuda.memory_reserved(self.device)

    @property
    def held_bytes(self) -> int:
        """Bytes of its memory that tensors of this process lie in."""
        if not self.is_gpu:
            return host_memory.held_bytes()
        return torch.cuda.memory_allocated(self.device)

    @cached_property
    def layer_flops(self) -> float:
        """Operations in a second of one large layer of a network. It is tried out, for a moment."""
        dtype = torch.bfloat16 if _computes_in_16_bits() else torch.float32
        states, weights = torch.ones(_LAYER, dtype=dtype), torch.ones(_LAYER[1], 4 * _LAYER[1], dtype=dtype)
        states @ weights  # what is there once for all
        started = time.perf_counter()
        states @ weights
        return 2 * states.numel() * weights.shape[1] / (time.perf_counter() - started)

    def weight_bytes(self, checkpoint: Checkpoint, folder: Path) -> WeightBytes:
        """The bytes that the networks of a checkpoint need here."""
        item_bytes = {name: dtype.itemsize for name, dtype in self.dtypes(checkpoint).items()}
        return bytes_by_role(checkpoint, network_bytes(checkpoint, folder, item_bytes))

    def declared_bytes(self, checkpoint: Checkpoint) -> WeightBytes:
        """As `weight_bytes`, of a checkpoint that is not on this machine."""
        dtypes = self.dtypes(checkpoint)
        counts = {one.name: one.size // ITEM_BYTES[one.stored] for one in checkpoint.components}
        return bytes_by_role(checkpoint, {name: count * dtypes[name].itemsize for name, count in counts.items()})

    def dtypes(self, checkpoint: Checkpoint) -> Mapping[str, torch.dtype]:
        """The dtype of each network, by its name: on a GPU the declared one. A processor that computes in 16 bits does
        so in bfloat16. Others compute in float32, which is faster there."""
        return {component.name: getattr(torch, self._dtype(component)) for component in checkpoint.components}

    @staticmethod
    def stored_dtypes(checkpoint: Checkpoint, folder: Path) -> Mapping[str, torch.dtype]:
        """The dtype of the files of each network, by its name, but of the autoencoder: it has little, and stays."""
        networks = [component for component in checkpoint.components if component.role is not Role.AUTOENCODER]
        return {component.name: getattr(torch, stored_dtype(folder, component)) for component in networks}

    def _dtype(self, component: Component) -> str:
        if self.device.type == "cuda" or component.dtype == "float32":
            return component.dtype
        return "bfloat16" if _computes_in_16_bits() else "float32"


def _processor() -> str:
    """As Linux calls it; elsewhere its architecture."""
    described = Path("/proc/cpuinfo")
    names = re.findall(r"^model name\s*: (.+)$", described.read_text(), re.MULTILINE) if described.is_file() else []
    return names[0] if names else platform.machine()


def _computes_in_16_bits() -> bool:
    """Whether the processor does so."""
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_tile"))
