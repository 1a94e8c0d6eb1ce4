"""Small checkpoints of HunyuanVideo-Foley, as they are published and as they are converted.

Every kind of layer is there, and the published files hold what the real ones do beside it: halves that this worker does
not use, weights with their norms apart, and a layer that nothing applies. No number is 0 or 1 as it would be in a fresh
network, which would hide what is computed from it.
"""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn
from transformers import ClapTextConfig, ClapTextModel, SiglipVisionConfig, SiglipVisionModel

from builder.tiny.byte_level import make_tokenizer
from videoworker.families.foley.codec import FoleyDecoder
from videoworker.families.foley.synchformer import Synchformer
from videoworker.families.foley.transformer import FoleyTransformer
from videoworker.models import SOUND_VARIANTS
from videoworker.models.checkpoint import Checkpoint
from videoworker.weights.published import convert_published

VARIANTS = ("xxl", "xl")
LATENT_CHANNELS = 8

_TEXT_DIM, _VISUAL_DIM, _SYNC_DIM = 16, 24, 64
_TOKENS = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]


def save(folder: Path, variant: str) -> None:
    """Saves a converted checkpoint of random networks, the same at every call."""
    checkpoint = checkpoint_of(variant)
    with tempfile.TemporaryDirectory(dir=folder.parent) as place:
        publish(Path(place), variant)
        made, _ = convert_published(checkpoint, Path(place), Path(place))
        made.rename(folder)


def checkpoint_of(variant: str) -> Checkpoint:
    """The declaration of the real one."""
    return next(model.checkpoint for model in SOUND_VARIANTS["foley"] if model.variant == variant)


def publish(folder: Path, variant: str) -> None:
    """Saves the folders of the repositories, as the hub has them."""
    torch.manual_seed(VARIANTS.index(variant))
    own, pictures, texts = checkpoint_of(variant).origins
    transformer, synchformer, codec = own.files
    for origin in (own, pictures, texts):
        (folder / origin.folder).mkdir(parents=True)
    torch.save(_transformer(variant), folder / own.folder / transformer)
    torch.save(_synchformer(), folder / own.folder / synchformer)
    torch.save(
        {"state_dict": _codec(), "metadata": {"kwargs": {"latent_dim": LATENT_CHANNELS, "sample_rate": 48_000}}},
        folder / own.folder / codec,
    )
    _save_image_encoder(folder / pictures.folder)
    _save_text_encoder(folder / texts.folder)


def _random(network: nn.Module, scale: float = 1.0) -> dict[str, torch.Tensor]:
    """The network's tensors, with random numbers that leave its output of order 1. `scale`: of the weights."""
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            noise = torch.randn_like(parameter)
            if name.endswith("bias"):
                parameter.copy_(0.1 * noise)
            elif name.endswith("alpha") or parameter.dim() == 1:
                parameter.copy_(1 + 0.2 * noise)
            else:
                parameter.copy_(scale * noise / parameter[0].numel() ** 0.5)
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def _transformer(variant: str) -> dict[str, torch.Tensor]:
    large = variant == "xxl"
    network = FoleyTransformer(
        num_triple_blocks=2 if large else 1,
        num_single_blocks=2,
        hidden_size=32 if large else 16,
        num_heads=2,
        text_dim=_TEXT_DIM,
        visual_dim=_VISUAL_DIM,
        sync_dim=_SYNC_DIM,
        latent_channels=LATENT_CHANNELS,
    )
    tensors = {name: tensor.to(torch.bfloat16) for name, tensor in _random(network).items()}
    if not large:  # its real file is larger than its network
        tensors["repa_projector.weight"] = torch.ones(2, 2, dtype=torch.bfloat16)
    return tensors


def _synchformer() -> dict[str, torch.Tensor]:
    tensors = _random(Synchformer(hidden_size=_SYNC_DIM, num_blocks=1, num_heads=1, image_size=32))
    tensors["patch_embed.proj.weight"] = torch.ones(_SYNC_DIM, 3, 16, 16)
    tensors["patch_embed.proj.bias"] = torch.ones(_SYNC_DIM)
    return {
        **{f"vfeat_extractor.{name}": tensor for name, tensor in tensors.items()},
        "afeat_extractor.norm.weight": torch.ones(2),
        "transformer.tok_emb": torch.ones(2),
        "vproj.weight": torch.ones(2, 2),
        "aproj.weight": torch.ones(2, 2),
    }


def _codec() -> dict[str, torch.Tensor]:
    tensors = dict[str, torch.Tensor]()
    for name, tensor in _random(FoleyDecoder(latent_channels=LATENT_CHANNELS, channels=64), 0.8).items():
        if name.endswith(".weight") and name.startswith("decoder."):
            tensors[f"{name}_g"] = torch.linalg.vector_norm(tensor, dim=(1, 2), keepdim=True)
            tensors[f"{name}_v"] = 3 * tensor
        else:
            tensors[name] = tensor
    return tensors | {"encoder.block.0.bias": torch.ones(2), "quant_conv.weight": torch.ones(2, 2, 1)}


def _save_image_encoder(folder: Path) -> None:
    vision = SiglipVisionConfig(
        hidden_size=_VISUAL_DIM,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=32,
        patch_size=16,
    )
    tensors = _prefixed(_random(SiglipVisionModel(vision)), "vision_model.")
    beside = {"text_model.final_layer_norm.weight": torch.ones(2), "logit_scale": torch.ones(1)}
    save_file(tensors | beside, folder / "model.safetensors", {"format": "pt"})
    config = {"model_type": "siglip", "vision_config": vision.to_diff_dict()}
    (folder / "config.json").write_text(json.dumps(config))


def _save_text_encoder(folder: Path) -> None:
    tokenizer = make_tokenizer(
        _TOKENS,
        first="<s>",
        last="</s>",
        bos_token="<s>",
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        model_max_length=512,
    )
    tokenizer.save_pretrained(folder)
    text = ClapTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=_TEXT_DIM,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=130,
    )
    tensors = _prefixed(_random(ClapTextModel(text)), "text_model.")
    beside = {"text_projection.linear1.weight": torch.ones(2, 2), "audio_model.x": torch.ones(2)}
    torch.save(tensors | beside, folder / "pytorch_model.bin")
    config = {"model_type": "clap", "text_config": text.to_diff_dict()}
    (folder / "config.json").write_text(json.dumps(config))


def _prefixed(tensors: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {f"{prefix}{name}": tensor for name, tensor in tensors.items()}
