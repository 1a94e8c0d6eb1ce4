"""The transformer as its authors publish it, in diffusers' `HunyuanVideo15Transformer3DModel`.

Names and roles of the tensors are those of `HunyuanVideo_1_5_DiffusionTransformer` in
hyvideo/models/transformers/hunyuanvideo_1_5_transformer.py (Tencent-Hunyuan/HunyuanVideo-1.5 at 60783e7) and of its
modules. All weights lie in both alike, except two: the refiner has queries, keys and values in one projection, and the
last modulation has the shift before the scale.
"""

import re
from collections.abc import Mapping
from typing import Any

import torch
from diffusers import HunyuanVideo15Transformer3DModel

from videoworker.sampling.reader import Reader, Tensors

_PREFIXES = {
    "img_in.": "x_embedder.",
    "vision_in.proj.0": "image_embedder.norm_in",
    "vision_in.proj.1": "image_embedder.linear_1",
    "vision_in.proj.3": "image_embedder.linear_2",
    "vision_in.proj.4": "image_embedder.norm_out",
    "txt_in.input_embedder": "context_embedder.proj_in",
    "txt_in.t_embedder.mlp.0": "context_embedder.time_text_embed.timestep_embedder.linear_1",
    "txt_in.t_embedder.mlp.2": "context_embedder.time_text_embed.timestep_embedder.linear_2",
    "txt_in.c_embedder.": "context_embedder.time_text_embed.text_embedder.",
    "txt_in.individual_token_refiner.blocks.": "context_embedder.token_refiner.refiner_blocks.",
    "byt5_in.layernorm": "context_embedder_2.norm",
    "byt5_in.fc": "context_embedder_2.linear_",
    "time_in.mlp.0": "time_embed.timestep_embedder.linear_1",
    "time_in.mlp.2": "time_embed.timestep_embedder.linear_2",
    "time_r_in.mlp.0": "time_embed.timestep_embedder_r.linear_1",
    "time_r_in.mlp.2": "time_embed.timestep_embedder_r.linear_2",
    "cond_type_embedding.": "cond_type_embed.",
    "double_blocks.": "transformer_blocks.",
    "final_layer.adaLN_modulation.1": "norm_out.linear",
    "final_layer.linear": "proj_out",
}
# Within a block of the refiner, and within one of both streams.
_PARTS = {
    "self_attn_proj": "attn.to_out.0",
    "adaLN_modulation.1": "norm_out.linear",
    "img_mod.linear": "norm1.linear",
    "txt_mod.linear": "norm1_context.linear",
    "img_attn_q_norm": "attn.norm_q",
    "img_attn_k_norm": "attn.norm_k",
    "txt_attn_q_norm": "attn.norm_added_q",
    "txt_attn_k_norm": "attn.norm_added_k",
    "img_attn_q": "attn.to_q",
    "img_attn_k": "attn.to_k",
    "img_attn_v": "attn.to_v",
    "txt_attn_q": "attn.add_q_proj",
    "txt_attn_k": "attn.add_k_proj",
    "txt_attn_v": "attn.add_v_proj",
    "img_attn_proj": "attn.to_out.0",
    "txt_attn_proj": "attn.to_add_out",
    "img_mlp.fc1": "ff.net.0.proj",
    "img_mlp.fc2": "ff.net.2",
    "txt_mlp.fc1": "ff_context.net.0.proj",
    "txt_mlp.fc2": "ff_context.net.2",
    "mlp.fc1": "ff.net.0.proj",
    "mlp.fc2": "ff.net.2",
}
_REFINER = re.compile(r"txt_in\.individual_token_refiner\.blocks\.(\d+)\.")
_BLOCK = re.compile(r"(?P<stem>.+_blocks\.\d+\.)(?P<part>.+)\.(?P<kind>weight|bias)")


def transformer(reader: Reader, name: str) -> Any:
    """The network. Raises `RuntimeError` if a tensor is missing, or is not the network's."""
    return reader.published_network(HunyuanVideo15Transformer3DModel, name, configuration, as_diffusers)


def configuration(published: Mapping[str, Any], tensors: Tensors) -> dict[str, Any]:
    """As diffusers has it. The published configuration does not say how wide the inputs of images and letters are, nor
    how deep the refiner is: these are constants of the code, so the tensors say it. They say too how many channels go
    in."""
    time, height, _ = published["patch_size"]
    refiners = {match[1] for name in tensors if (match := _REFINER.match(name))}
    return {
        "in_channels": tensors["img_in.proj.weight"].shape[1],
        "out_channels": published["out_channels"],
        "num_attention_heads": published["heads_num"],
        "attention_head_dim": published["hidden_size"] // published["heads_num"],
        "num_layers": published["mm_double_blocks_depth"],
        "num_refiner_layers": len(refiners),
        "mlp_ratio": published["mlp_width_ratio"],
        "patch_size": height,
        "patch_size_t": time,
        "text_embed_dim": published["text_states_dim"],
        "text_embed_2_dim": tensors["byt5_in.fc1.weight"].shape[1],
        "image_embed_dim": published["vision_states_dim"],
        "rope_theta": published["rope_theta"],
        "rope_axes_dim": tuple(published["rope_dim_list"]),
        "use_meanflow": published["use_meanflow"],
    }


def as_diffusers(published: Tensors) -> Tensors:
    """The tensors under diffusers' names."""
    tensors: Tensors = {}
    for name, tensor in published.items():
        renamed = _renamed(name)
        if ".self_attn_qkv." in renamed:
            for part, rows in zip("qkv", tensor.chunk(3), strict=True):
                tensors[renamed.replace("self_attn_qkv", f"attn.to_{part}")] = rows
        elif renamed.startswith("norm_out."):
            shift, scale = tensor.chunk(2)
            tensors[renamed] = torch.cat([scale, shift])
        else:
            tensors[renamed] = tensor
    return tensors


def _renamed(name: str) -> str:
    prefix = next((prefix for prefix in _PREFIXES if name.startswith(prefix)), "")
    renamed = _PREFIXES.get(prefix, "") + name.removeprefix(prefix)
    if match := _BLOCK.fullmatch(renamed):
        return f"{match['stem']}{_PARTS.get(match['part'], match['part'])}.{match['kind']}"
    return renamed
