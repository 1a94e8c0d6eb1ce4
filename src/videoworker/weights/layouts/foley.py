"""HunyuanVideo-Foley's published files: pickles of the transformer, the video encoder and the codec, and two encoders
of other repositories of which one half is used.

Names and roles of the tensors are those of the published code. Configurations follow from the tensors' shapes.
"""

import json
import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import product
from math import isqrt
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from videoworker.errors import Code, JobError
from videoworker.models.checkpoint import Checkpoint
from videoworker.weights.convert import alone, read_tensors

Tensors = Mapping[str, torch.Tensor]

_DIFFUSERS_FILE, _TRANSFORMERS_FILE = "diffusion_pytorch_model.safetensors", "model.safetensors"
_SYNCHFORMER_HEAD, _SYNCHFORMER_PATCH = 64, 16


@dataclass(frozen=True)
class _Names:
    """The tensors of a network. `{a,b}` stands for both. `once` are names. `blocks` are lists of like modules, with the
    names that each module of a list has. What begins with one of `unused` is in the file but needed by nobody here."""

    once: str
    blocks: Mapping[str, str]
    unused: tuple[str, ...] = ()

    def split(self, found: Iterable[str], file: Path) -> tuple[set[str], list[str]]:
        """The names that the network has, and those of `found` that are not known. Raises `JobError` if one is
        missing."""
        found = set(found)
        wanted = set(_expanded(self.once))
        for module, names in self.blocks.items():
            numbers = {int(match[1]) for name in found if (match := re.match(rf"{re.escape(module)}\.(\d+)\.", name))}
            for number in range(max(numbers, default=0) + 1):
                wanted |= {f"{module}.{number}.{name}" for name in _expanded(names)}
        if missing := sorted(wanted - found):
            more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
            message = f"{file.name} is no file of this model: it lacks {', '.join(missing[:3])}{more}."
            raise JobError(Code.INVALID_FIELD, message)
        return wanted, sorted(name for name in found - wanted if not name.startswith(self.unused))


def _expanded(names: str) -> list[str]:
    """`x.{a,b} y` is `x.a`, `x.b` and `y`."""
    parts = ([piece.split(",") for piece in re.split(r"[{}]", name)] for name in names.split())
    return ["".join(one) for options in parts for one in product(*options)]


_TRANSFORMER = _Names(
    once="""sync_pos_emb empty_clip_feat empty_sync_feat audio_embedder.proj.{weight,bias}
        visual_proj.{w1,w2,w3}.weight cond_in.linear_{1,2}.{weight,bias} time_in.mlp.{0,2}.{weight,bias}
        sync_in.0.{weight,bias} sync_in.2.{w1,w2,w3}.weight
        final_layer.{linear,adaLN_modulation.1}.{weight,bias}""",
    blocks={
        "triple_blocks": """{audio,v_cond}_mod.linear.{weight,bias} {audio_self_attn,v_cond_attn}_qkv.{weight,bias}
            {audio_self,v_cond_attn}_{q,k}_norm.weight {audio,v_cond}_{self_proj,cross_q,cross_proj}.{weight,bias}
            text_cross_kv.{weight,bias} {audio,v_cond}_cross_q_norm.weight text_cross_k_norm.weight
            {audio,v_cond}_mlp.fc{1,2}.{weight,bias}""",
        "single_blocks": """{modulation.linear,linear_qkv,linear1}.{weight,bias} linear2.{w1,w2,w3}.weight
            {q,k}_norm.weight""",
    },
)
_SYNCHFORMER = _Names(
    once="""cls_token pos_embed temp_embed patch_embed_3d.proj.{weight,bias} norm.{weight,bias}
        spatial_attn_agg.self_attn.{in_proj_weight,in_proj_bias,out_proj.weight,out_proj.bias}
        spatial_attn_agg.{linear1,linear2,norm1,norm2}.{weight,bias} spatial_attn_agg.cls_token""",
    blocks={
        "blocks": "{norm1,norm2,norm3,attn.qkv,attn.proj,timeattn.qkv,timeattn.proj,mlp.fc1,mlp.fc2}.{weight,bias}"
    },
    unused=("patch_embed.proj.",),
)
_CODEC_RATES = 5
_CODEC_STAGE = """0.alpha 1.{bias,weight_g,weight_v} {2,3,4}.block.{0,2}.alpha
    {2,3,4}.block.{1,3}.{bias,weight_g,weight_v}"""
_CODEC = _Names(
    once=f"""post_quant_conv.{{weight,bias}} decoder.model.{{0,{_CODEC_RATES + 2}}}.{{bias,weight_g,weight_v}}
        decoder.model.{_CODEC_RATES + 1}.alpha """
    + " ".join(
        f"decoder.model.{number}.block.{name}" for number in range(1, _CODEC_RATES + 1) for name in _CODEC_STAGE.split()
    ),
    blocks={},
    unused=("encoder.", "quant_conv."),
)
_IMAGE_ENCODER = _Names(
    once="""embeddings.patch_embedding.{weight,bias} embeddings.position_embedding.weight post_layernorm.{weight,bias}
        head.probe head.attention.{in_proj_weight,in_proj_bias,out_proj.weight,out_proj.bias}
        head.{layernorm,mlp.fc1,mlp.fc2}.{weight,bias}""",
    blocks={
        "encoder.layers": """{layer_norm1,layer_norm2,mlp.fc1,mlp.fc2}.{weight,bias}
            self_attn.{q,k,v,out}_proj.{weight,bias}"""
    },
)
_TEXT_ENCODER = _Names(
    once="""embeddings.{word,position,token_type}_embeddings.weight embeddings.LayerNorm.{weight,bias}
        pooler.dense.{weight,bias}""",
    blocks={
        "encoder.layer": """attention.{self.query,self.key,self.value,output.dense,output.LayerNorm}.{weight,bias}
            {intermediate.dense,output.dense,output.LayerNorm}.{weight,bias}"""
    },
    unused=("embeddings.position_ids", "embeddings.token_type_ids"),
)


def convert(checkpoint: Checkpoint, published: Path, to: Path) -> dict[str, list[str]]:
    """As `videoworker.weights.layouts` says."""
    own, pictures, texts = checkpoint.origins
    transformer, synchformer, codec = (published / own.folder / name for name in own.files)
    unexpected = {
        transformer.name: convert_transformer(transformer, to / "transformer"),
        synchformer.name: convert_synchformer(synchformer, to / "synchformer"),
        codec.name: convert_codec(codec, to / "codec"),
        pictures.repository: _convert_image_encoder(published / pictures.folder, to / "image_encoder"),
        texts.repository: _convert_text_encoder(published / texts.folder, to / "text_encoder"),
    }
    _copy_tokenizer(published / texts.folder, texts.files, to / "tokenizer")
    index: dict[str, Any] = {"_class_name": checkpoint.pipeline}
    index |= {component.name: ["videoworker", component.name] for component in checkpoint.components}
    index["tokenizer"] = ["transformers", "AutoTokenizer"]
    (to / "model_index.json").write_text(json.dumps(index, indent=2) + "\n")
    return {file: names for file, names in unexpected.items() if names}


def convert_transformer(file: Path, to: Path) -> list[str]:
    """The numbers stay as they are, in bfloat16 in the real file. Returns the names that are not known, as the other
    functions here do."""
    tensors = _read(file)
    names, unexpected = _TRANSFORMER.split(tensors, file)
    width, latent_channels = tensors["audio_embedder.proj.weight"].shape[:2]
    config = {
        "_class_name": "FoleyTransformer",
        "num_triple_blocks": _count(names, "triple_blocks"),
        "num_single_blocks": _count(names, "single_blocks"),
        "hidden_size": width,
        "num_heads": width // len(tensors["triple_blocks.0.audio_self_q_norm.weight"]),
        "text_dim": tensors["cond_in.linear_1.weight"].shape[1],
        "visual_dim": tensors["empty_clip_feat"].shape[1],
        "sync_dim": tensors["empty_sync_feat"].shape[1],
        "latent_channels": latent_channels,
    }
    _write({name: tensors[name] for name in names}, config, to / _DIFFUSERS_FILE)
    return unexpected


def convert_synchformer(file: Path, to: Path) -> list[str]:
    """The half that sees, in float16. Its heads have 64 numbers, which no shape tells."""
    tensors = _half(_read(file), "vfeat_extractor.")
    names, unexpected = _SYNCHFORMER.split(tensors, file)
    width = tensors["cls_token"].shape[2]
    config = {
        "_class_name": "Synchformer",
        "hidden_size": width,
        "num_blocks": _count(names, "blocks"),
        "num_heads": width // _SYNCHFORMER_HEAD,
        "image_size": _SYNCHFORMER_PATCH * isqrt(tensors["pos_embed"].shape[1] - 1),
        "patch_size": _SYNCHFORMER_PATCH,
        "num_frames": 2 * tensors["temp_embed"].shape[1],
    }
    _write({name: tensors[name].to(torch.float16) for name in names}, config, to / _DIFFUSERS_FILE)
    return unexpected


def convert_codec(file: Path, to: Path) -> list[str]:
    """The half that decodes, in float32, with the norms of its weights folded in."""
    tensors = _read(file)
    names, unexpected = _CODEC.split(tensors, file)
    stages = [f"decoder.model.{number}.block.1.weight_v" for number in range(1, _CODEC_RATES + 1)]
    channels, latent_channels = tensors["decoder.model.0.weight_v"].shape[:2]
    config = {
        "_class_name": "FoleyDecoder",
        "latent_channels": latent_channels,
        "channels": channels,
        "rates": [tensors[name].shape[2] // 2 for name in stages],
    }
    _write(folded({name: tensors[name].float() for name in names}), config, to / _DIFFUSERS_FILE)
    return unexpected


def folded(tensors: Tensors) -> dict[str, torch.Tensor]:
    """Weight-normed tensors `weight_v` of direction and `weight_g` of length, as the `weight` that they stand for
    (arXiv:1602.07868). The length is that over all dimensions but the first."""
    weights = {}
    for name, tensor in tensors.items():
        if name.endswith("weight_v"):
            length = torch.linalg.vector_norm(tensor, dim=(1, 2), keepdim=True)
            weights[name.removesuffix("_v")] = tensor * (tensors[name.removesuffix("v") + "g"] / length)
        elif not name.endswith("weight_g"):
            weights[name] = tensor
    return weights


def _convert_image_encoder(folder: Path, to: Path) -> list[str]:
    file = folder / "model.safetensors"
    _require(file)
    with safe_open(file, "pt") as opened:
        prefix = "vision_model."
        tensors = {
            name.removeprefix(prefix): opened.get_tensor(name)
            for name in opened.keys()  # noqa: SIM118 (not a dict)
            if name.startswith(prefix)
        }
    names, unexpected = _IMAGE_ENCODER.split(tensors, file)
    config = {**_half_config(folder, "vision_config"), "model_type": "siglip_vision_model"}
    _write({name: tensors[name].float() for name in names}, config, to / _TRANSFORMERS_FILE)
    return unexpected


def _convert_text_encoder(folder: Path, to: Path) -> list[str]:
    file = folder / "pytorch_model.bin"
    tensors = _half(_read(file), "text_model.")
    names, unexpected = _TEXT_ENCODER.split(tensors, file)
    config = {**_half_config(folder, "text_config"), "model_type": "clap_text_model"}
    encoder = {name: tensors[name].float() for name in names}
    positions = torch.arange(len(encoder["embeddings.position_embeddings.weight"]))[None]
    encoder |= {"embeddings.position_ids": positions, "embeddings.token_type_ids": torch.zeros_like(positions)}
    _write(encoder, config, to / _TRANSFORMERS_FILE)
    return unexpected


def _copy_tokenizer(folder: Path, files: Iterable[str], to: Path) -> None:
    to.mkdir(parents=True)
    _require(folder / "tokenizer.json")
    for name in files:
        if name not in ("config.json", "pytorch_model.bin") and (folder / name).is_file():
            shutil.copy(folder / name, to / name)


def _read(file: Path) -> dict[str, torch.Tensor]:
    _require(file)
    return read_tensors(file)


def _require(file: Path) -> None:
    if not file.is_file():
        raise JobError(Code.INVALID_FIELD, f"{file} is not a file.")


def _half(tensors: Tensors, prefix: str) -> dict[str, torch.Tensor]:
    """The tensors of one network of several, without the prefix of their names."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _half_config(folder: Path, key: str) -> dict[str, Any]:
    _require(folder / "config.json")
    config: dict[str, Any] = json.loads((folder / "config.json").read_text())[key]
    return config


def _count(names: Iterable[str], module: str) -> int:
    """How many modules the list has."""
    return len({name.split(".")[1] for name in names if name.startswith(f"{module}.")})


def _write(tensors: Tensors, config: Mapping[str, Any], file: Path) -> None:
    file.parent.mkdir(parents=True)
    (file.parent / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    save_file({name: alone(tensor) for name, tensor in tensors.items()}, file, {"format": "pt"})
