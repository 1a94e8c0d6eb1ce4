"""The weights of a network, one by one, and others put in their places for a while."""

from collections.abc import Iterator

import torch

# A module, the name of a weight there, and the weight.
Weight = tuple[torch.nn.Module, str, torch.Tensor]


def weights_of(network: torch.nn.Module) -> Iterator[Weight]:
    """Every parameter and buffer."""
    for module in network.modules():
        for name, weight in (*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)):
            yield module, name, weight


def put(weight: Weight, copy: torch.Tensor) -> None:
    """Puts a copy of the weight in its place. It is no parameter to be trained."""
    module, name, original = weight
    is_parameter = isinstance(original, torch.nn.Parameter)
    setattr(module, name, torch.nn.Parameter(copy, requires_grad=False) if is_parameter else copy)


def put_back(weight: Weight) -> None:
    """Puts the weight itself in its place again."""
    module, name, original = weight
    setattr(module, name, original)
