"""Reads the networks, tokenizers and settings of a checkpoint: safetensors only, nothing from the hub."""

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from diffusers.models.modeling_utils import no_init_weights
from safetensors import safe_open
from transformers import AutoImageProcessor, AutoTokenizer

Tensors = dict[str, torch.Tensor]  # by their names

_SAFE: dict[str, Any] = {"use_safetensors": True, "local_files_only": True}
_FILE = "diffusion_pytorch_model"  # what diffusers' names begin with


@dataclass(frozen=True)
class Reader:
    """`folder` has one folder for each component. Networks are put on `device`, ready to be used. `dtypes` has the
    dtype of each, by its name. `variants` has the mark in the names of its files, if they have one. `places` says of
    some components where they lie instead."""

    folder: Path
    device: torch.device
    dtypes: Mapping[str, torch.dtype]
    variants: Mapping[str, str | None] = field(default_factory=dict)
    places: Mapping[str, str] = field(default_factory=dict)

    def network(self, kind: Any, name: str) -> Any:
        """A network of diffusers' class `kind`. What the class keeps in float32 stays so. Raises `RuntimeError` if the
        files lack a tensor of it."""
        kept, dtype = set(kind._keep_in_fp32_modules or ()), self.dtypes[name]

        def cast(key: str, tensor: torch.Tensor) -> torch.Tensor:
            if not tensor.is_floating_point():
                return tensor
            return tensor.to(torch.float32 if kept.intersection(key.split(".")) else dtype)

        with _empty(dtype):
            network = kind.from_config(self.config(name))
        tensors = {key: cast(key, tensor) for file in self._files(name) for key, tensor in _tensors(file)}
        missing = network.load_state_dict(tensors, strict=False, assign=True).missing_keys
        _refuse_missing(name, missing)
        return self._usable(network)

    def file_network(
        self, kind: Any, name: str, configuration: Mapping[str, Any], renamed: Callable[[Tensors], Tensors] = dict
    ) -> Any:
        """A network of diffusers' class `kind` whose weights are one file. `renamed` gives the file's tensors the names
        and forms of the class. If the file's metadata has a `config`, that is the network's in place of
        `configuration`. Raises `RuntimeError` if a tensor is missing, or is not the network's."""
        with safe_open(self._place(name), "pt") as opened:
            metadata = opened.metadata() or {}
        tensors = dict(_tensors(self._place(name)))
        with torch.device("meta"):
            network = kind(**json.loads(metadata.get("config", "null")) or configuration)
        dtype = self.dtypes[name]
        network.load_state_dict({key: tensor.to(dtype) for key, tensor in renamed(tensors).items()}, assign=True)
        return self._usable(network)

    def encoder(self, kind: Any, name: str) -> Any:
        """A network of transformers' class `kind`. Raises `RuntimeError` if the files lack a tensor of it, for which
        the class would draw random numbers."""
        options = {"dtype": self.dtypes[name], "variant": self.variants.get(name), "output_loading_info": True}
        network, told = kind.from_pretrained(self._place(name), **options, **_SAFE)
        _refuse_missing(name, told["missing_keys"])
        return self._usable(network)

    def tokenizer(self, name: str, kind: Any = AutoTokenizer) -> Any:
        return kind.from_pretrained(self._place(name), local_files_only=True)

    def image_processor(self, name: str) -> Any:
        return AutoImageProcessor.from_pretrained(self._place(name), local_files_only=True)

    def config(self, name: str) -> dict[str, Any]:
        """The configuration of a network, as it stands in its folder."""
        config: dict[str, Any] = json.loads((self._place(name) / "config.json").read_text("utf-8"))
        return config

    def scheduler_config(self) -> Any:
        return FlowMatchEulerDiscreteScheduler.load_config(self.folder / "scheduler", local_files_only=True)

    def _place(self, name: str) -> Path:
        return self.folder / self.places.get(name, name)

    def _files(self, name: str) -> list[Path]:
        """Of a network of diffusers': those that its index names, else the one there is."""
        folder, variant = self._place(name), self.variants.get(name)
        mark = f".{variant}" if variant else ""
        index = folder / f"{_FILE}.safetensors.index{mark}.json"
        if not index.is_file():
            return [folder / f"{_FILE}{mark}.safetensors"]
        return [folder / file for file in sorted(set(json.loads(index.read_text("utf-8"))["weight_map"].values()))]

    def _usable(self, network: Any) -> Any:
        return network.to(self.device).eval()


@contextmanager
def _empty(dtype: torch.dtype) -> Iterator[None]:
    """Networks that are made within the block have parameters without numbers, which take no memory until they are
    written to. What they compute for themselves is in `dtype`."""
    default = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with no_init_weights():
            yield
    finally:
        torch.set_default_dtype(default)


def _tensors(file: Path) -> Iterator[tuple[str, torch.Tensor]]:
    with safe_open(file, "pt") as opened:
        for key in opened.keys():  # noqa: SIM118 (not a dict)
            yield key, opened.get_tensor(key)


def _refuse_missing(name: str, missing: Collection[str]) -> None:
    if missing:
        raise RuntimeError(f"{name} lacks {len(missing)} tensors: {', '.join(sorted(missing)[:3])}")
