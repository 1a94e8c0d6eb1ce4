"""Small checkpoints of HunyuanVideo-1.5's super-resolution, in the layout of its authors' repository: a transformer and
an upsampler, each with a configuration and one file of tensors, under the names that the authors' classes give them.

The forms of the tensors are those of hyvideo/models/transformers/ in Tencent-Hunyuan/HunyuanVideo-1.5 at 60783e7.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from builder.tiny.hunyuanvideo_1_5 import GLYPH_DIM, LATENT_CHANNELS, WIDTH
from videoworker.models.upscaler import Upscaler

Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Transformer:
    """The widths of a transformer, by default the published one's. Of `glyphs`, `letters` and `refiners` the published
    configuration says nothing: they are constants of the code."""

    latents: int = 32
    width: int = 2048
    heads: int = 16
    blocks: int = 54
    mlp: float = 4.0
    rope: tuple[int, ...] = (16, 56, 56)
    states: int = 3584
    picture: int = 1152
    glyphs: int = 1472
    refiners: int = 2

    @property
    def channels(self) -> int:
        """That go in: the latents, the known ones with their mask, and the smaller ones with theirs."""
        return 3 * self.latents + 2

    def configuration(self) -> dict[str, Any]:
        return {
            "_class_name": "HunyuanVideo_1_5_DiffusionTransformer",
            "patch_size": [1, 1, 1],
            "in_channels": self.channels,
            "concat_condition": False,
            "out_channels": self.latents,
            "hidden_size": self.width,
            "heads_num": self.heads,
            "mlp_width_ratio": self.mlp,
            "mm_double_blocks_depth": self.blocks,
            "mm_single_blocks_depth": 0,
            "rope_dim_list": list(self.rope),
            "rope_theta": 256,
            "text_states_dim": self.states,
            "vision_states_dim": self.picture,
            "use_meanflow": True,
            "ideal_resolution": "1080p",
        }

    def shapes(self) -> Shapes:
        """Of all tensors, by their published names."""
        width, inner = self.width, int(self.width * self.mlp)
        linear: Shapes = {
            "img_in.proj": (width, self.channels, 1, 1, 1),
            "vision_in.proj.1": (self.picture, self.picture),
            "vision_in.proj.3": (width, self.picture),
            "txt_in.input_embedder": (width, self.states),
            "txt_in.t_embedder.mlp.0": (width, 256),
            "txt_in.t_embedder.mlp.2": (width, width),
            "txt_in.c_embedder.linear_1": (width, self.states),
            "txt_in.c_embedder.linear_2": (width, width),
            "byt5_in.fc1": (2048, self.glyphs),
            "byt5_in.fc2": (2048, 2048),
            "byt5_in.fc3": (width, 2048),
            "final_layer.linear": (self.latents, width),
            "final_layer.adaLN_modulation.1": (2 * width, width),
        }
        for embedder in ("time_in", "time_r_in"):
            linear |= {f"{embedder}.mlp.0": (width, 256), f"{embedder}.mlp.2": (width, width)}
        norms: Shapes = {
            "vision_in.proj.0": (self.picture,),
            "vision_in.proj.4": (width,),
            "byt5_in.layernorm": (self.glyphs,),
        }
        for block in (f"txt_in.individual_token_refiner.blocks.{index}" for index in range(self.refiners)):
            norms |= {f"{block}.norm1": (width,), f"{block}.norm2": (width,)}
            linear |= {
                f"{block}.self_attn_qkv": (3 * width, width),
                f"{block}.self_attn_proj": (width, width),
                f"{block}.mlp.fc1": (4 * width, width),
                f"{block}.mlp.fc2": (width, 4 * width),
                f"{block}.adaLN_modulation.1": (2 * width, width),
            }
        scales: Shapes = {}
        for block in (f"double_blocks.{index}.{stream}" for index in range(self.blocks) for stream in ("img", "txt")):
            linear[f"{block}_mod.linear"] = (6 * width, width)
            linear |= {f"{block}_attn_{name}": (width, width) for name in ("q", "k", "v", "proj")}
            linear |= {f"{block}_mlp.fc1": (inner, width), f"{block}_mlp.fc2": (width, inner)}
            scales |= {f"{block}_attn_{name}_norm.weight": (width // self.heads,) for name in ("q", "k")}
        return {"cond_type_embedding.weight": (3, width)} | scales | _with_biases(linear | norms)


@dataclass(frozen=True)
class Upsampler720p:
    """The widths of the smaller upsampler. The channels and blocks that are the default agree with the published file's
    size and number of tensors."""

    latents: int = 32
    width: int = 128
    blocks: int = 16

    def configuration(self) -> dict[str, Any]:
        return {
            "_class_name": "SRTo720pUpsampler",
            "in_channels": self.latents,
            "out_channels": self.latents,
            "hidden_channels": self.width,
            "num_blocks": self.blocks,
            "global_residual": False,
        }

    def shapes(self) -> Shapes:
        within = {
            f"blocks.{index}.block.{layer}.conv": _causal(self.width, self.width)
            for index in range(self.blocks)
            for layer in (0, 2, 4)
        }
        ends = {"in_conv.conv": _causal(self.latents, self.width), "out_conv.conv": _causal(self.width, self.latents)}
        return _with_biases(ends | within)


@dataclass(frozen=True)
class Upsampler1080p:
    """The widths of the larger upsampler. The default agrees with the published file's size."""

    latents: int = 32
    widths: tuple[int, ...] = (256, 512)
    res_blocks: int = 2

    def configuration(self) -> dict[str, Any]:
        return {
            "_class_name": "SRTo1080pUpsampler",
            "z_channels": self.latents,
            "out_channels": self.latents,
            "block_out_channels": list(self.widths),
            "num_res_blocks": self.res_blocks,
            "is_residual": False,
        }

    def shapes(self) -> Shapes:
        convolutions: Shapes = {
            "conv_in.conv": _causal(self.latents, self.widths[0]),
            "conv_out.conv": _causal(self.widths[-1], self.latents),
        }
        gammas: Shapes = {"norm_out.gamma": (self.widths[-1], 1, 1, 1)}
        before = self.widths[0]
        for level, width in enumerate(self.widths):
            for name in (f"up.{level}.block.{index}" for index in range(self.res_blocks + 1)):
                convolutions |= {
                    f"{name}.conv1.conv": _causal(before, width),
                    f"{name}.conv2.conv": _causal(width, width),
                }
                gammas |= {f"{name}.norm1.gamma": (before, 1, 1, 1), f"{name}.norm2.gamma": (width, 1, 1, 1)}
                if before != width:
                    convolutions[f"{name}.nin_shortcut"] = (width, before, 1, 1, 1)
                before = width
        return _with_biases(convolutions) | gammas


_SMALL = Transformer(
    latents=LATENT_CHANNELS,
    width=32,
    heads=2,
    blocks=2,
    mlp=2.0,
    rope=(4, 6, 6),
    states=WIDTH,
    picture=WIDTH,
    glyphs=GLYPH_DIM,
    refiners=1,
)
_SMALL_UPSAMPLERS: dict[str, Upsampler720p | Upsampler1080p] = {
    "720p-sr": Upsampler720p(LATENT_CHANNELS, width=8, blocks=2),
    "1080p-sr": Upsampler1080p(LATENT_CHANNELS, widths=(8, 12), res_blocks=1),
}


def save(folder: Path, upscaler: Upscaler) -> None:
    """Saves random networks, the same at every call, where the upscaler's checkpoint has them."""
    torch.manual_seed(0)
    places = {name: folder / place for name, place in upscaler.checkpoint.places.items()}
    _save(places["sr_transformer"], _SMALL)
    _save(places["upsampler"], _SMALL_UPSAMPLERS[upscaler.checkpoint.variant])


def _save(folder: Path, network: Transformer | Upsampler720p | Upsampler1080p) -> None:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(network.configuration()))
    tensors = {name: _drawn(shape) for name, shape in network.shapes().items()}
    save_file(tensors, folder / "diffusion_pytorch_model.safetensors", {"format": "pt"})


def _causal(before: int, after: int) -> tuple[int, ...]:
    return (after, before, 3, 3, 3)


def _with_biases(weights: Shapes) -> Shapes:
    return {f"{name}.weight": shape for name, shape in weights.items()} | {
        f"{name}.bias": shape[:1] for name, shape in weights.items()
    }


def _drawn(shape: tuple[int, ...]) -> torch.Tensor:
    """Of a layer so that it keeps the deviation of its input."""
    if math.prod(shape[1:]) == 1:
        return torch.randn(shape) * 0.1 + 0.5
    return torch.randn(shape) / math.sqrt(math.prod(shape[1:]))
