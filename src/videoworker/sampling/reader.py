"""Reads the networks, tokenizers and settings of a checkpoint in diffusers layout: safetensors only, nothing from the
hub."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from transformers import AutoImageProcessor, AutoTokenizer

_SAFE: dict[str, Any] = {"use_safetensors": True, "local_files_only": True}


@dataclass(frozen=True)
class Reader:
    """`folder` has one folder for each component. Networks are put on `device`, ready to be used. `dtypes` has the
    dtype of each, by its name. `variants` has the mark in the names of its files, if they have one."""

    folder: Path
    device: torch.device
    dtypes: Mapping[str, torch.dtype]
    variants: Mapping[str, str | None] = field(default_factory=dict)

    def network(self, kind: Any, name: str) -> Any:
        """A network of diffusers' class `kind`."""
        options = {"torch_dtype": self.dtypes[name], "variant": self.variants.get(name)}
        return self._usable(kind.from_pretrained(self.folder / name, **options, **_SAFE))

    def encoder(self, kind: Any, name: str) -> Any:
        """A network of transformers' class `kind`."""
        options = {"dtype": self.dtypes[name], "variant": self.variants.get(name)}
        return self._usable(kind.from_pretrained(self.folder / name, **options, **_SAFE))

    def tokenizer(self, name: str, kind: Any = AutoTokenizer) -> Any:
        return kind.from_pretrained(self.folder / name, local_files_only=True)

    def image_processor(self, name: str) -> Any:
        return AutoImageProcessor.from_pretrained(self.folder / name, local_files_only=True)

    def scheduler_config(self) -> Any:
        return FlowMatchEulerDiscreteScheduler.load_config(self.folder / "scheduler", local_files_only=True)

    def _usable(self, network: Any) -> Any:
        return network.to(self.device).eval()
