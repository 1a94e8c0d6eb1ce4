"""Puts a family's networks where a placement says, and tells how much memory there is to choose by.

Which network is which goes by its name in the family's `Networks`: `transformer`, `vae`; every other one describes the
prompt or its picture. An offloaded network lies in the host's memory, and its layers come to the device as they run.
"""

from dataclasses import fields, replace
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import Any

import torch
from diffusers.hooks import apply_group_offloading
from safetensors import safe_open

from videoworker.engine.runner import Runner
from videoworker.models.declaration import Model
from videoworker.models.placement import Placement, Weights, weights_of


def load(runner: Runner, folder: Path, device: torch.device, dtype: torch.dtype, placement: Placement) -> Any:
    """The networks of a checkpoint, placed."""
    if placement is Placement.RESIDENT:
        return runner.load(folder, device, dtype)
    return place(runner.load(folder, torch.device("cpu"), dtype), device, placement)


def place(networks: Any, device: torch.device, placement: Placement) -> Any:
    """`networks`, which are in the host's memory, for use on `device`; not for a resident placement."""
    # Copies run beside the computation and wait for it block by block: without that wait (`record_stream`) they run
    # ahead of it, and the whole network ends up on the device.
    options: dict[str, Any] = {"onload_device": device, "use_stream": device.type == "cuda"}
    for field in fields(networks):
        network = getattr(networks, field.name)
        if not isinstance(network, torch.nn.Module):
            continue
        if field.name == "transformer" and placement is Placement.FP8:
            network.enable_layerwise_casting(storage_dtype=torch.float8_e4m3fn, compute_dtype=networks.dtype)  # type: ignore[operator]
        if field.name == "vae" or (field.name == "transformer" and placement is Placement.TEXT_ENCODER_OFFLOAD):
            network.to(device)
        elif field.name == "transformer":
            apply_group_offloading(network, offload_type="block_level", num_blocks_per_group=1, **options)
        else:
            apply_group_offloading(network, offload_type="leaf_level", **options)
    return replace(networks, device=device)


@lru_cache
def weights(model: Model, folder: Path, dtype: torch.dtype) -> Weights:
    """Bytes of a checkpoint's networks when loaded as `dtype`, from its files' headers, which are read once."""
    parameters = {
        part.name: sum(map(_parameters, (folder / part.name).glob("*.safetensors"))) for part in model.components
    }
    return weights_of({name: count * dtype.itemsize for name, count in parameters.items()})


def _parameters(file: Path) -> int:
    with safe_open(file, "numpy") as opened:
        return sum(prod(opened.get_slice(name).get_shape()) for name in opened.keys())  # noqa: SIM118


def available(device: torch.device) -> int:
    """Bytes of a GPU that this process has or could have."""
    free, _ = torch.cuda.mem_get_info(device)
    return free + torch.cuda.memory_reserved(device)
