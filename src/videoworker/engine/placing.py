"""Puts the networks of a checkpoint where a placement says, by their roles.

An offloaded network lies in the host's memory, and its layers come to the device as they run.
"""

from dataclasses import fields, replace
from typing import Any

import torch
from diffusers.hooks import apply_group_offloading

from videoworker.models.checkpoint import Checkpoint, Role
from videoworker.planning.placement import Placement


def place(networks: Any, checkpoint: Checkpoint, device: torch.device, placement: Placement) -> Any:
    """`networks`, which are in the host's memory, for use on `device`; not for a resident placement."""
    # Copies run beside the computation and wait for it block by block. Without that wait (`record_stream`) they run
    # ahead of it, and the whole network ends up on the device.
    options: dict[str, Any] = {"onload_device": device, "use_stream": device.type == "cuda"}
    for field in fields(networks):
        network = getattr(networks, field.name)
        if not isinstance(network, torch.nn.Module):
            continue
        role = checkpoint.role(field.name)
        if role is Role.AUTOENCODER or (role is Role.DENOISER and placement is Placement.TEXT_ENCODER_OFFLOAD):
            network.to(device)
        elif role is Role.DENOISER:
            if placement is Placement.FP8:
                network.enable_layerwise_casting(storage_dtype=torch.float8_e4m3fn, compute_dtype=networks.dtype)  # type: ignore[operator]
            apply_group_offloading(network, offload_type="block_level", num_blocks_per_group=1, **options)
        else:
            apply_group_offloading(network, offload_type="leaf_level", **options)
    return replace(networks, device=device)
