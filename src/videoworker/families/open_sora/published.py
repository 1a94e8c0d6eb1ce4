"""The published transformer's tensors, under the names and in the forms of diffusers' `FluxTransformer2DModel`.

The network is FLUX's with one more input, the condition, which here is more channels of the first input. It is
published with a projection each for queries and keys, and rotary pairs that lie half a head apart. Flux has pairs side
by side, so rows of queries and keys are put in that order. In FLUX's own layout, with fused projections, they lie so.
"""

import torch

from videoworker.sampling.reader import Tensors

_WHOLE = {
    "time_in.in_layer": "time_text_embed.timestep_embedder.linear_1",
    "time_in.out_layer": "time_text_embed.timestep_embedder.linear_2",
    "vector_in.in_layer": "time_text_embed.text_embedder.linear_1",
    "vector_in.out_layer": "time_text_embed.text_embedder.linear_2",
    "txt_in": "context_embedder",
    "final_layer.linear": "proj_out",
}
# Of a dual-stream block, for each stream.
_DUAL = {
    "img": {
        "mod.lin": "norm1.linear",
        "attn.proj": "attn.to_out.0",
        "mlp.0": "ff.net.0.proj",
        "mlp.2": "ff.net.2",
        "attn.q_proj": "attn.to_q",
        "attn.k_proj": "attn.to_k",
        "attn.v_proj": "attn.to_v",
        "attn.norm.query_norm": "attn.norm_q",
        "attn.norm.key_norm": "attn.norm_k",
    },
    "txt": {
        "mod.lin": "norm1_context.linear",
        "attn.proj": "attn.to_add_out",
        "mlp.0": "ff_context.net.0.proj",
        "mlp.2": "ff_context.net.2",
        "attn.q_proj": "attn.add_q_proj",
        "attn.k_proj": "attn.add_k_proj",
        "attn.v_proj": "attn.add_v_proj",
        "attn.norm.query_norm": "attn.norm_added_q",
        "attn.norm.key_norm": "attn.norm_added_k",
    },
}
_SINGLE = {
    "modulation.lin": "norm.linear",
    "linear2": "proj_out",
    "q_proj": "attn.to_q",
    "k_proj": "attn.to_k",
    "v_proj": "attn.to_v",
    "mlp": "proj_mlp",
    "norm.query_norm": "attn.norm_q",
    "norm.key_norm": "attn.norm_k",
}
_ROTATED = ("q_proj", "k_proj", "query_norm", "key_norm")


def as_flux(published: Tensors) -> Tensors:
    """The tensors of either layout for diffusers' class. What neither layout has keeps its name."""
    tensors = _unfused(published) if any(".qkv." in name for name in published) else _paired(_split(published))
    return {_renamed(name): tensor for name, tensor in _joined(tensors).items()}


def _unfused(published: Tensors) -> Tensors:
    """Of FLUX's layout: a projection each for queries, keys and values, and in single-stream blocks for the MLP."""
    tensors: Tensors = {}
    for name, tensor in published.items():
        stem, _, kind = name.rpartition(".")
        if stem.endswith(".qkv"):
            fused, parts = stem.removesuffix("qkv"), tensor.chunk(3)
            tensors |= {f"{fused}{part}_proj.{kind}": rows for part, rows in zip("qkv", parts, strict=True)}
        elif stem.endswith(".linear1"):
            fused, width = stem.removesuffix("linear1"), _width(published)
            query, key, value, mlp = tensor.split([width, width, width, len(tensor) - 3 * width])
            rows_of = {"q_proj": query, "k_proj": key, "v_proj": value, "mlp": mlp}
            tensors |= {f"{fused}{part}.{kind}": rows for part, rows in rows_of.items()}
        else:
            tensors[name] = tensor
    return tensors


def _split(published: Tensors) -> Tensors:
    """Single-stream blocks have values and MLP in one."""
    tensors: Tensors = {}
    for name, tensor in published.items():
        if ".v_mlp." in name:
            value, mlp = tensor.split([_width(published), len(tensor) - _width(published)])
            tensors |= {name.replace("v_mlp", "v_proj"): value, name.replace("v_mlp", "mlp"): mlp}
        else:
            tensors[name] = tensor
    return tensors


def _paired(tensors: Tensors) -> Tensors:
    """Rows of queries and keys, and their norms' scales, with each head's rotary pairs side by side."""
    head = len(next(tensor for name, tensor in tensors.items() if name.endswith("query_norm.scale")))
    return {
        name: tensor.unflatten(0, (-1, 2, head // 2)).transpose(1, 2).flatten(0, 2)
        if name.split(".")[-2] in _ROTATED
        else tensor
        for name, tensor in tensors.items()
    }


def _joined(tensors: Tensors) -> Tensors:
    """With one first input for latents and condition, and the last modulation as diffusers has it: scale, then
    shift."""
    made = dict(tensors)
    weights = [made.pop(f"{name}.weight") for name in ("img_in", "cond_in")]
    made["x_embedder.weight"] = torch.cat(weights, dim=1)
    made["x_embedder.bias"] = made.pop("img_in.bias") + made.pop("cond_in.bias")
    for kind in ("weight", "bias"):
        shift, scale = made.pop(f"final_layer.adaLN_modulation.1.{kind}").chunk(2)
        made[f"norm_out.linear.{kind}"] = torch.cat([scale, shift])
    return made


def _renamed(name: str) -> str:
    stem, _, kind = name.rpartition(".")
    kind = "weight" if kind == "scale" else kind
    if stem in _WHOLE:
        return f"{_WHOLE[stem]}.{kind}"
    blocks, _, rest = stem.partition(".")
    index, _, rest = rest.partition(".")
    stream, _, part = rest.partition("_")
    if blocks == "double_blocks" and part in _DUAL.get(stream, {}):
        return f"transformer_blocks.{index}.{_DUAL[stream][part]}.{kind}"
    if blocks == "single_blocks" and rest in _SINGLE:
        return f"single_transformer_blocks.{index}.{_SINGLE[rest]}.{kind}"
    return name


def _width(published: Tensors) -> int:
    """Of the network's states."""
    return len(published["img_in.bias"])
