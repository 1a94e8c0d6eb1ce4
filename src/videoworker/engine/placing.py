"""Puts the networks of a checkpoint where a placement says, by their roles.

An offloaded network lies in the host's memory, and its layers come to the device as they run. If one denoiser at a
time is to lie on the device, each comes there whole when it first runs, and the other one leaves.
"""

from collections.abc import Iterator, Sequence
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
        self._at_home = {network: list(_weights(network)) for network in networks}
        self._present: torch.nn.Module | None = None
        for network in networks:
            network.register_forward_pre_hook(self._bring)

    def _bring(self, network: torch.nn.Module, _: Any) -> None:
        if network is self._present:
            return
        if self._present is not None:
            for module, name, weight in self._at_home[self._present]:
                setattr(module, name, weight)
        self._present = network
        with torch.inference_mode(False):
            for module, name, weight in self._at_home[network]:
                copy = weight.detach().to(self._device)
                is_parameter = isinstance(weight, torch.nn.Parameter)
                setattr(module, name, torch.nn.Parameter(copy, requires_grad=False) if is_parameter else copy)


def _weights(network: torch.nn.Module) -> Iterator[tuple[torch.nn.Module, str, torch.Tensor]]:
    """Every parameter and buffer, with the module that has it and its name there."""
    for module in network.modules():
        for name, weight in (*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)):
            yield module, name, weight
