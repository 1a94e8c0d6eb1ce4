"""Small checkpoints of the CogVideoX family: what differs between its variants is as in the real configurations."""

from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKLCogVideoX,
    CogVideoXDDIMScheduler,
    CogVideoXDPMScheduler,
    CogVideoXImageToVideoPipeline,
    CogVideoXPipeline,
    CogVideoXTransformer3DModel,
)

from builder.tiny import t5

LATENT_CHANNELS = 4
MAX_TEXT_TOKENS, SKETCH_TEXT_TOKENS = 226, 40

# Native sizes in latents: 720x480 of 2B and 5B, the square that bounds 1.5's sizes, and the shipped model's.
_ROTARY = {"use_rotary_positional_embeddings": True}
_PATCHES_IN_TIME = _ROTARY | {
    "patch_size_t": 2,
    "patch_bias": False,
    "sample_frames": 81,
    "sample_width": 300,
    "sample_height": 300,
}
_IMAGE = {"in_channels": 2 * LATENT_CHANNELS}
_COMMON = {
    "num_attention_heads": 2,
    "attention_head_dim": 16,
    "in_channels": LATENT_CHANNELS,
    "out_channels": LATENT_CHANNELS,
    "time_embed_dim": 16,
    "text_embed_dim": t5.WIDTH,
    "num_layers": 2,
    "sample_width": 90,
    "sample_height": 60,
    "sample_frames": 49,
    "max_text_seq_length": MAX_TEXT_TOKENS,
}
_TRANSFORMERS: dict[str, dict[str, Any]] = {
    "2b": {},
    "5b": _ROTARY,
    "5b-i2v": _ROTARY | _IMAGE | {"use_learned_positional_embeddings": True},
    "1.5-5b": _PATCHES_IN_TIME,
    "1.5-5b-i2v": _PATCHES_IN_TIME | _IMAGE | {"ofs_embed_dim": 16},
    "sketch": _ROTARY
    | _IMAGE
    | {"sample_frames": 25, "sample_width": 32, "sample_height": 32, "max_text_seq_length": SKETCH_TEXT_TOKENS},
}
VARIANTS = tuple(_TRANSFORMERS)
DDIM = ("2b", "sketch")

# transformer/config.json of each repository.
_5B = {"num_attention_heads": 48, "num_layers": 42, "use_rotary_positional_embeddings": True}
_1_5_5B = _5B | {"patch_size_t": 2, "patch_bias": False, "sample_width": 300, "sample_height": 300}
PUBLISHED: dict[str, dict[str, dict[str, Any]]] = {"5b": {"transformer": _5B}, "1.5-5b": {"transformer": _1_5_5B}}


def longest_prompt() -> torch.Tensor:
    """T5-XXL's states."""
    return torch.empty(1, MAX_TEXT_TOKENS, 4096, dtype=torch.bfloat16)


def save(folder: Path, variant: str, **changed: Any) -> None:
    """Saves random networks, the same at every call, in diffusers layout. `changed`: what shall stand otherwise in the
    transformer's configuration."""
    torch.manual_seed(0)
    transformer = CogVideoXTransformer3DModel(**_COMMON | _TRANSFORMERS[variant] | changed)
    if transformer.config.use_learned_positional_embeddings:  # else they are as those that are computed
        torch.nn.init.normal_(transformer.patch_embed.pos_embedding)
    pipeline = CogVideoXImageToVideoPipeline if variant.endswith("i2v") else CogVideoXPipeline
    pipeline(
        tokenizer=t5.tokenizer(MAX_TEXT_TOKENS),
        text_encoder=t5.text_encoder(),
        vae=AutoencoderKLCogVideoX(
            block_out_channels=(8, 8, 8, 8),
            layers_per_block=1,
            latent_channels=LATENT_CHANNELS,
            norm_num_groups=2,
            temporal_compression_ratio=4,
            scaling_factor=1.15258426 if variant == "2b" else 0.7,
            invert_scale_latents=variant.startswith("1.5"),
        ),
        transformer=transformer,
        scheduler=(CogVideoXDDIMScheduler if variant in DDIM else CogVideoXDPMScheduler)(
            beta_start=0.00085,
            beta_end=0.012,
            beta_schedule="scaled_linear",
            prediction_type="v_prediction",
            rescale_betas_zero_snr=True,
            snr_shift_scale=3.0 if variant == "2b" else 1.0,
            timestep_spacing="trailing",
            clip_sample=False,
            set_alpha_to_one=True,
        ),
    ).save_pretrained(folder)
