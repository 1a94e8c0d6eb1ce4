"""A small checkpoint of Open-Sora 2, in the layout of its repository: two networks as single files, which are not in
diffusers' names, and two text encoders in folders of their makers' names. The two files say their configurations in
their metadata, which the published ones do not: those are the families' defaults."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKLHunyuanVideo
from safetensors.torch import save_file
from transformers import CLIPConfig, CLIPModel, CLIPTextConfig, CLIPVisionConfig

from builder.tiny import t5
from builder.tiny.byte_level import make_tokenizer
from videoworker.families.open_sora.family import Conditioning
from videoworker.models.open_sora import OPEN_SORA

MAX_TEXT_TOKENS = 512
VARIANTS = ("open-sora",)
PUBLISHED: dict[str, dict[str, dict[str, Any]]] = {}  # its own code knows them

_CLIP_WIDTH = 24
_CLIP_TOKENS = ("<|startoftext|>", "<|endoftext|>")
_AUTOENCODER = {"latent_channels": 4, "block_out_channels": (4, 4, 8, 8), "layers_per_block": 1, "norm_num_groups": 4}


@dataclass(frozen=True)
class Transformer:
    """The widths of a transformer, by default the published one's; those of its inputs are of two by two latents."""

    width: int = 3072
    head: int = 128
    dual: int = 19
    single: int = 38
    latents: int = 64
    condition: int = 68
    states: int = 4096
    pooled: int = 768

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Of all tensors, by their published names."""
        width, head = self.width, self.head
        linear = {
            "img_in": (width, self.latents),
            "cond_in": (width, self.condition),
            "txt_in": (width, self.states),
            "time_in.in_layer": (width, 256),
            "time_in.out_layer": (width, width),
            "vector_in.in_layer": (width, self.pooled),
            "vector_in.out_layer": (width, width),
            "final_layer.linear": (self.latents, width),
            "final_layer.adaLN_modulation.1": (2 * width, width),
        }
        norms: dict[str, tuple[int, ...]] = {}
        for block in (f"double_blocks.{index}.{stream}" for index in range(self.dual) for stream in ("img", "txt")):
            linear[f"{block}_mod.lin"] = (6 * width, width)
            linear |= {f"{block}_attn.{name}": (width, width) for name in ("q_proj", "k_proj", "v_proj", "proj")}
            linear |= {f"{block}_mlp.0": (4 * width, width), f"{block}_mlp.2": (width, 4 * width)}
            norms |= {f"{block}_attn.norm.{name}_norm.scale": (head,) for name in ("query", "key")}
        for block in (f"single_blocks.{index}" for index in range(self.single)):
            linear[f"{block}.modulation.lin"] = (3 * width, width)
            linear |= {f"{block}.{name}": (width, width) for name in ("q_proj", "k_proj")}
            linear |= {f"{block}.v_mlp": (5 * width, width), f"{block}.linear2": (width, 5 * width)}
            norms |= {f"{block}.norm.{name}_norm.scale": (head,) for name in ("query", "key")}
        biases = {f"{name}.bias": shape[:1] for name, shape in linear.items()}
        return {f"{name}.weight": shape for name, shape in linear.items()} | biases | norms

    def configuration(self) -> dict[str, Any]:
        """As diffusers has it."""
        quarter = self.head // 4
        return {
            "in_channels": self.latents + self.condition,
            "out_channels": self.latents,
            "num_layers": self.dual,
            "num_single_layers": self.single,
            "attention_head_dim": self.head,
            "num_attention_heads": self.width // self.head,
            "joint_attention_dim": self.states,
            "pooled_projection_dim": self.pooled,
            "axes_dims_rope": (quarter, (self.head - quarter) // 2, (self.head - quarter) // 2),
        }


SMALL = Transformer(width=64, head=32, dual=1, single=1, latents=16, condition=20, states=t5.WIDTH, pooled=_CLIP_WIDTH)


def longest_prompt() -> Conditioning:
    """T5-XXL's states, and CLIP's of the whole text."""
    return Conditioning(
        torch.empty(1, MAX_TEXT_TOKENS, 4096, dtype=torch.bfloat16), torch.empty(1, 768, dtype=torch.bfloat16)
    )


def save(folder: Path, variant: str) -> None:
    """Saves random networks, the same at every call. There is one variant, without a name."""
    torch.manual_seed(0)
    places = {name: folder / place for name, place in OPEN_SORA.checkpoint.places.items()}
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: _drawn(shape) for name, shape in SMALL.shapes().items()}
    save_network(places["transformer"], tensors, SMALL.configuration())
    save_network(places["vae"], AutoencoderKLHunyuanVideo(**_AUTOENCODER).state_dict(), _AUTOENCODER)
    t5.text_encoder().save_pretrained(places["text_encoder"])
    t5.tokenizer(MAX_TEXT_TOKENS).save_pretrained(places["text_encoder"])
    first, last = _CLIP_TOKENS
    tokenizer = make_tokenizer(
        [first, last],
        first=first,
        last=last,
        bos_token=first,
        eos_token=last,
        pad_token=last,
        model_max_length=77,
    )
    _clip(tokenizer).save_pretrained(places["text_encoder_2"])
    tokenizer.save_pretrained(places["text_encoder_2"])


def save_network(file: Path, tensors: dict[str, torch.Tensor], configuration: dict[str, Any]) -> None:
    """One network as one file."""
    save_file(tensors, file, {"format": "pt", "config": json.dumps(configuration)})


def _drawn(shape: tuple[int, ...]) -> torch.Tensor:
    """Of a linear layer so that it keeps the deviation of its input."""
    if len(shape) == 1:
        return torch.randn(shape) * 0.1 + 0.5
    return torch.randn(shape) / math.sqrt(shape[1])


def _clip(tokenizer: Any) -> CLIPModel:
    """Both halves, of which the model reads the texts'."""
    sizes = {"intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    ids = {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    text = CLIPTextConfig(vocab_size=len(tokenizer), hidden_size=_CLIP_WIDTH, **sizes, **ids)
    vision = CLIPVisionConfig(hidden_size=16, image_size=16, patch_size=8, **sizes)
    return CLIPModel(CLIPConfig(text_config=text.to_dict(), vision_config=vision.to_dict(), projection_dim=16))
