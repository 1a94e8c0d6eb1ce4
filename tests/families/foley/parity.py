"""Small runs of the published networks' own code, in float32 on a processor, and our networks with the same weights.

`transformer`, `synchformer` and `codec` have the published names of their tensors after `weights.`. `sampling` has what
a whole run began and ended with. Its transformer's tensors are in `sampling_transformer`, its codec's in `codec`.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from tests.families.running import reader
from videoworker.families.foley.codec import FoleyDecoder
from videoworker.families.foley.synchformer import Synchformer
from videoworker.families.foley.transformer import FoleyTransformer
from videoworker.weights.layouts import foley as layout

# Outputs are of order 1, and what differs by the order of additions is below 5e-6.
CLOSE = 2e-5

Tensors = dict[str, torch.Tensor]


def tensors(name: str) -> Tensors:
    return load_file(Path(__file__).with_name(f"{name}.safetensors"))


def after(prefix: str, named: Tensors) -> Tensors:
    """Those that begin with the prefix, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in named.items() if name.startswith(prefix)}


def transformer(weights: Tensors, folder: Path) -> Any:
    """The network that our loading code makes of a published file."""
    return _loaded(FoleyTransformer, layout.convert_transformer, weights, folder)


def synchformer(weights: Tensors, folder: Path) -> Any:
    """As `transformer`. The heads of this small one have 16 numbers, the real ones' 64."""
    return _loaded(Synchformer, layout.convert_synchformer, weights, folder, num_heads=3)


def codec(weights: Tensors, folder: Path) -> Any:
    """As `transformer`, of a file that has more than weights."""
    published = {"state_dict": weights, "metadata": {"kwargs": {"sample_rate": 48_000}}}
    return _loaded(FoleyDecoder, layout.convert_codec, published, folder)


def _loaded(
    kind: Any, convert: Callable[[Path, Path], list[str]], published: dict[str, Any], folder: Path, **told: int
) -> Any:
    torch.save(published, folder / "published.pth")
    assert convert(folder / "published.pth", folder / "network") == []
    config = folder / "network" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | told))
    return reader(folder).network(kind, "network")
