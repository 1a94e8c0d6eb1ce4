"""Networks that a processor runs from their files, one after the other.

Files are mapped into memory: their pages come as layers ask for them, and nothing of them has to stay. The weights lie
there in the dtype of the files. If that is not the one to compute in, each block's are cast while the block runs. When
another network begins to run, the pages of all others are given back. So memory holds one network's weights at a
time, and has to hold no more than one block's.
"""

import ctypes
import mmap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import torch

from videoworker.engine.network_weights import Weight, put, put_back, weights_of
from videoworker.models.checkpoint import Checkpoint, Component, Role
from videoworker.weights.files import weight_files

_libc = ctypes.CDLL(None, use_errno=True)


def run_from_files(
    networks: Any, checkpoint: Checkpoint, folder: Path, dtypes: Mapping[str, torch.dtype], stored: Mapping[str, Any]
) -> None:
    """`networks` are the checkpoint's in `folder`. By name: `dtypes` are those to compute in, and `stored` those of
    the networks that were read as they lie in the files. The networks keep what is needed for this by their hooks."""
    components = {component.name: component for component in checkpoint.components}
    files = dict[torch.nn.Module, tuple[Path, ...]]()
    for field in fields(networks):
        network = getattr(networks, field.name)
        if not isinstance(network, torch.nn.Module):
            continue
        found = weight_files(folder, components[field.name])
        files[network] = () if found is None else tuple(file.resolve() for file in found.files)
        if stored.get(field.name, dtypes[field.name]) != dtypes[field.name]:
            _cast_in_blocks(network, components[field.name], dtypes[field.name])
    _Turns(files)


def give_back(files: Sequence[Path]) -> None:
    """Gives back the memory of all pages of these files that this process has mapped and not written to. What is asked
    for again comes from the file. Raises `OSError`."""
    names = set(map(str, files))
    for line in Path("/proc/self/maps").read_text().splitlines():
        place, _, _, _, _, *name = line.split(maxsplit=5)
        if name and name[0] in names:
            begin, end = (int(address, 16) for address in place.split("-"))
            if _libc.madvise(ctypes.c_void_p(begin), ctypes.c_size_t(end - begin), mmap.MADV_DONTNEED):
                raise OSError(ctypes.get_errno(), "madvise")


class _Turns:
    """Networks of which one has memory at a time: the one that ran last. Any layer of it may be what is called."""

    def __init__(self, files: Mapping[torch.nn.Module, tuple[Path, ...]]) -> None:
        self._files = files
        self._running: torch.nn.Module | None = None
        for network in files:
            for module in network.modules():
                module.register_forward_pre_hook(partial(self._begin, network))

    def _begin(self, network: torch.nn.Module, *_: Any) -> None:
        if network is self._running:
            return
        self._running = network
        give_back([file for other, files in self._files.items() if other is not network for file in files])


def _cast_in_blocks(network: torch.nn.Module, component: Component, dtype: torch.dtype) -> None:
    """The weights of a block are cast while it runs, and those of no block while the network runs.

    Text encoders keep nothing in float32: transformers has them do so beside float16 alone, whose range is short.
    """
    keeps = component.keeps_float32 if component.role is Role.DENOISER else lambda _: False
    state = network.state_dict(keep_vars=True)
    is_cast = {id(weight) for name, weight in state.items() if weight.is_floating_point() and not keeps(name)}
    rest = {id(weight): (module, name, weight) for module, name, weight in weights_of(network) if id(weight) in is_cast}
    for block in _blocks(network):
        own = [weight for weight in weights_of(block) if id(weight[2]) in is_cast]
        for weight in own:
            rest.pop(id(weight[2]), None)
        _cast_while_it_runs(block, own, dtype)
    _cast_while_it_runs(network, [one for one in weights_of(network) if id(one[2]) in rest], dtype)


def _blocks(module: torch.nn.Module) -> Iterator[torch.nn.Module]:
    """The layers that stand in lists, but not those within them."""
    for child in module.children():
        if isinstance(module, torch.nn.ModuleList) and not isinstance(child, torch.nn.ModuleList):
            yield child
        else:
            yield from _blocks(child)


def _cast_while_it_runs(module: torch.nn.Module, weights: Sequence[Weight], dtype: torch.dtype) -> None:
    def cast(*_: Any) -> None:
        with torch.inference_mode(False):
            copies = {id(weight): weight.detach().to(dtype) for _, _, weight in weights}
        for weight in weights:
            put(weight, copies[id(weight[2])])

    def restore(*_: Any) -> None:
        for weight in weights:
            put_back(weight)

    module.register_forward_pre_hook(cast)
    module.register_forward_hook(restore, always_call=True)
