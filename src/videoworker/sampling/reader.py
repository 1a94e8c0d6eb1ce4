"""Reads the networks, tokenizers and settings of a checkpoint: safetensors only, nothing from the hub."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from safetensors import safe_open
from transformers import AutoImageProcessor, AutoTokenizer

Tensors = dict[str, torch.Tensor]  # by their names

_SAFE: dict[str, Any] = {"use_safetensors": True, "local_files_only": True}


@dataclass(frozen=True)
class Reader:
    """`folder` has one folder for each component. Networks are put on `device`, ready to be used. `dtypes` has the
    dtype of each, by its name. `variants` has the mark in the names of its files, if they have one. `places` says of
    some components where they lie instead. Those of `stored` are read in the dtype that stands there, and their weights
    are cast to their own as they run."""

    folder: Path
    device: torch.device
    dtypes: Mapping[str, torch.dtype]
    variants: Mapping[str, str | None] = field(default_factory=dict)
    places: Mapping[str, str] = field(default_factory=dict)
    stored: Mapping[str, torch.dtype] = field(default_factory=dict)

    def network(self, kind: Any, name: str) -> Any:
        """A network of diffusers' class `kind`."""
        options = {"torch_dtype": self._read_in(name), "variant": self.variants.get(name)}
        return self._usable(kind.from_pretrained(self._place(name), **options, **_SAFE))

    def file_network(
        self, kind: Any, name: str, configuration: Mapping[str, Any], renamed: Callable[[Tensors], Tensors] = dict
    ) -> Any:
        """A network of diffusers' class `kind` whose weights are one file. `renamed` gives the file's tensors the names
        and forms of the class. If the file's metadata has a `config`, that is the network's in place of
        `configuration`. Raises `RuntimeError` if a tensor is missing, or is not the network's."""
        tensors, metadata = _opened(self._place(name))
        described = json.loads(metadata.get("config", "null")) or configuration
        return self._made(kind, name, described, renamed(tensors))

    def published_network(
        self,
        kind: Any,
        name: str,
        described: Callable[[Mapping[str, Any], Tensors], Mapping[str, Any]],
        renamed: Callable[[Tensors], Tensors],
    ) -> Any:
        """A network of the class `kind` whose folder has a configuration and one file of weights that another class
        wrote. `described` gives the class's configuration, from that of the folder and the file's tensors. `renamed`
        gives the tensors the names and forms of the class. Raises `RuntimeError` as `file_network` does."""
        tensors, _ = _opened(self._place(name) / "diffusion_pytorch_model.safetensors")
        return self._made(kind, name, described(self.config(name), tensors), renamed(tensors))

    def encoder(self, kind: Any, name: str) -> Any:
        """A network of transformers' class `kind`. Raises `RuntimeError` if the files lack a tensor of it, for which
        the class would draw random numbers."""
        options = {"dtype": self._read_in(name), "variant": self.variants.get(name), "output_loading_info": True}
        network, told = kind.from_pretrained(self._place(name), **options, **_SAFE)
        if missing := sorted(told["missing_keys"]):
            raise RuntimeError(f"{name} lacks {len(missing)} tensors: {', '.join(missing[:3])}")
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

    def _read_in(self, name: str) -> torch.dtype:
        return self.stored.get(name, self.dtypes[name])

    def _place(self, name: str) -> Path:
        return self.folder / self.places.get(name, name)

    def _made(self, kind: Any, name: str, configuration: Mapping[str, Any], tensors: Tensors) -> Any:
        with torch.device("meta"):
            network = kind(**configuration)
        dtype = self._read_in(name)
        network.load_state_dict({key: tensor.to(dtype) for key, tensor in tensors.items()}, assign=True)
        return self._usable(network)

    def _usable(self, network: Any) -> Any:
        return network.to(self.device).eval()


def _opened(file: Path) -> tuple[Tensors, dict[str, str]]:
    """The tensors of a file, and its metadata."""
    with safe_open(file, "pt") as opened:
        tensors = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118 (not a dict)
        return tensors, opened.metadata() or {}
