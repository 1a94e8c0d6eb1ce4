"""A checkpoint of Mochi with the published widths, files and dtypes, but of random numbers and with fewer layers."""

import json
from collections.abc import Callable
from itertools import count
from math import prod
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKLMochi, FlowMatchEulerDiscreteScheduler, MochiTransformer3DModel
from safetensors.torch import save_file
from transformers import T5Config, T5EncoderModel

from builder.tiny import t5

_GIB = 2**30
_SHARD_BYTES = 2 * _GIB
_TEXT_SHARE = 0.45  # of all bytes, as published
_MAX_TEXT_TOKENS = 256
_DTYPES = {"text_encoder": torch.float32, "transformer": torch.bfloat16, "vae": torch.bfloat16}

_INDEX = {
    "_class_name": "MochiPipeline",
    "_diffusers_version": "0.32.0",
    "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
    "text_encoder": ["transformers", "T5EncoderModel"],
    "tokenizer": ["transformers", "T5Tokenizer"],
    "transformer": ["diffusers", "MochiTransformer3DModel"],
    "vae": ["diffusers", "AutoencoderKLMochi"],
}


def save(folder: Path, gib: float) -> int:
    """Saves one of at least so many GiB, and of at least one layer, which is 3 GiB. Returns its bytes."""
    with torch.device("meta"):
        networks: dict[str, Any] = {"vae": AutoencoderKLMochi()}
        networks["text_encoder"] = _of_size(_text_encoder, _TEXT_SHARE * gib * _GIB, _DTYPES["text_encoder"])
        others = sum(_size(network, _DTYPES[name]) for name, network in networks.items())
        networks["transformer"] = _of_size(_transformer, gib * _GIB - others, _DTYPES["transformer"])
    for name, network in networks.items():
        network.config.save_pretrained(folder / name) if name == "text_encoder" else network.save_config(folder / name)
        _save_weights(folder / name, "model" if name == "text_encoder" else "diffusion_pytorch_model", network, name)
    t5.tokenizer(_MAX_TEXT_TOKENS).save_pretrained(folder / "tokenizer")
    FlowMatchEulerDiscreteScheduler(invert_sigmas=True).save_pretrained(folder / "scheduler")
    (folder / "model_index.json").write_text(json.dumps(_INDEX))
    return sum(file.stat().st_size for file in folder.rglob("*.safetensors"))


def _text_encoder(num_layers: int) -> Any:
    """T5-XXL, whose configuration is that of google/t5-v1_1-xxl."""
    return T5EncoderModel(
        T5Config(
            vocab_size=32_128,
            d_model=4096,
            d_kv=64,
            d_ff=10_240,
            num_layers=num_layers,
            num_heads=64,
            feed_forward_proj="gated-gelu",
        )
    )


def _transformer(num_layers: int) -> Any:
    return MochiTransformer3DModel(num_layers=num_layers)


def _of_size(network: Callable[[int], Any], size: float, dtype: torch.dtype) -> Any:
    """With as many layers as it takes."""
    return next(made for layers in count(1) if _size(made := network(layers), dtype) >= size)


def _size(network: Any, dtype: torch.dtype) -> int:
    numbers: int = sum(parameter.numel() for parameter in network.parameters())  # what is shared counts once
    return numbers * dtype.itemsize


def _save_weights(folder: Path, stem: str, network: Any, name: str) -> None:
    """In files of about 2 GiB, and an index of them."""
    random = (torch.randn(1 << 24, generator=torch.Generator().manual_seed(0)) * 0.02).to(_DTYPES[name])
    tied = network._tied_weights_keys if name == "text_encoder" else ()
    shards: list[dict[str, torch.Size]] = [{}]
    for key, tensor in network.state_dict().items():
        if key in tied:
            continue
        if sum(map(prod, shards[-1].values())) * random.itemsize > _SHARD_BYTES:
            shards.append({})
        shards[-1][key] = tensor.shape
    files = [f"{stem}-{number:05}-of-{len(shards):05}.safetensors" for number in range(1, len(shards) + 1)]
    for file, shard in zip(files, shards, strict=True):
        save_file({key: _repeated(random, shape) for key, shape in shard.items()}, folder / file, {"format": "pt"})
    index = {
        "metadata": {},
        "weight_map": {key: file for file, shard in zip(files, shards, strict=True) for key in shard},
    }
    (folder / f"{stem}.safetensors.index.json").write_text(json.dumps(index))


def _repeated(numbers: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    size = prod(shape)
    return numbers.repeat(-(-size // len(numbers)))[:size].clone().reshape(shape)
