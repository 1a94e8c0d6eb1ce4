"""Puts the networks of a checkpoint where a placement says, by their roles.

An offloaded network lies in the host's memory, and its layers come to the device as they run. If one denoiser at a
time is to lie on the device, each comes there whole when it first runs, and the other one leaves.
"""

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import torch
from diffusers.hooks import apply_group_offloading

from videoworker.engine.network_weights import put, put_back, weights_of
from videoworker.models.checkpoint import Checkpoint, Role
from videoworker.planning.placement import Placement


def place(networks: Any, checkpoint: Checkpoint, device: torch.device, placement: Placement) -> Any:
    """`networks`, which are in the host's memory, for use on `device`; not for a resident placement."""
    # Copies run beside the computation and wait for it block by block. Without that wait (`record_stream`) they run
    # ahead of it, and the whole network ends up on the device.
    options: dict[str, Any] = {"onload_device": device, "use_stream": device.type == "cuda"}
    in_turn: list[torch.nn.Module] = []
    for field in fields(networks):
        network = getattr(networks, field.name)
        if not isinstance(network, torch.nn.Module):
            continue
        role = checkpoint.role(field.name)
        stays = role in (Role.AUTOENCODER, Role.UPSAMPLER)
        if stays or (role is Role.DENOISER and placement is Placement.TEXT_ENCODER_OFFLOAD):
            network.to(device)
        elif role is Role.DENOISER and placement is Placement.ONE_DENOISER:
            in_turn.append(network)
        elif role is Role.DENOISER:
            if placement is Placement.FP8:
                network.enable_layerwise_casting(storage_dtype=torch.float8_e4m3fn, compute_dtype=networks.dtype)  # type: ignore[operator]
            apply_group_offloading(network, offload_type="block_level", num_blocks_per_group=1, **options)
        else:
            apply_group_offloading(network, offload_type="leaf_level", **options)
    _Turns(in_turn, device)
    return replace(networks, device=device)


class _Turns:
    """Networks of which one lies on the device at a time: the one that ran last.

    Weights are never written to, so those in the host's memory stay what they are: a network is copied to the device,
    and leaves it without a copy. The networks keep this object by their hooks.
    """

    def __init__(self, networks: Sequence[torch.nn.Module], device: torch.device) -> None:
        self._device = device
        self._at_home = {network: list(weights_of(network)) for network in networks}
        self._present: torch.nn.Module | None = None
        for network in networks:
            network.register_forward_pre_hook(self._bring)

    def _bring(self, network: torch.nn.Module, _: Any) -> None:
        if network is self._present:
            return
        if self._present is not None:
            for weight in self._at_home[self._present]:
                put_back(weight)
        self._present = network
        with torch.inference_mode(False):
            for weight in self._at_home[network]:
                put(weight, weight[2].detach().to(self._device))
