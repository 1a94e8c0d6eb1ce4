"""Small checkpoints of LTX-Video: the first release, and 0.9.1, whose decoder takes the last of the noise away."""

from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKLLTXVideo, FlowMatchEulerDiscreteScheduler, LTXPipeline, LTXVideoTransformer3DModel

from builder.tiny import t5

LATENT_CHANNELS = 8
MAX_TEXT_TOKENS = 128
_DECODERS: dict[str, dict[str, Any]] = {
    "": {
        "decoder_block_out_channels": (8, 16, 16, 16),
        "decoder_layers_per_block": (1, 1, 1, 1, 1),
        "decoder_spatio_temporal_scaling": (True, True, True, False),
    },
    "0.9.1": {
        "decoder_block_out_channels": (8, 16, 32),
        "decoder_layers_per_block": (1, 1, 1, 2),
        "decoder_spatio_temporal_scaling": (True, True, True),
        "decoder_inject_noise": (True, True, True, False),
        "upsample_residual": (True, True, True),
        "upsample_factor": (2, 2, 2),
        "timestep_conditioning": True,
    },
}
VARIANTS = tuple(_DECODERS)
PUBLISHED: dict[str, dict[str, dict[str, Any]]] = {}


def longest_prompt() -> torch.Tensor:
    """T5-XXL's states."""
    return torch.empty(1, MAX_TEXT_TOKENS, 4096, dtype=torch.bfloat16)


def save(folder: Path, variant: str) -> None:
    """Saves random networks, the same at every call, in diffusers layout."""
    torch.manual_seed(0)
    vae = AutoencoderKLLTXVideo(
        latent_channels=LATENT_CHANNELS,
        block_out_channels=(8, 16, 16, 16),
        layers_per_block=(1, 1, 1, 1, 1),
        **_DECODERS[variant],
    )
    vae.latents_mean.normal_()
    vae.latents_std.uniform_(0.5, 2)
    for name, parameter in vae.named_parameters():
        if "per_channel_scale" in name:  # zero before training, which would hide the noise
            torch.nn.init.normal_(parameter)
    LTXPipeline(
        tokenizer=t5.tokenizer(MAX_TEXT_TOKENS),
        text_encoder=t5.text_encoder(),
        vae=vae,
        transformer=LTXVideoTransformer3DModel(
            in_channels=LATENT_CHANNELS,
            out_channels=LATENT_CHANNELS,
            num_attention_heads=2,
            attention_head_dim=16,
            cross_attention_dim=32,
            num_layers=2,
            caption_channels=t5.WIDTH,
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(
            use_dynamic_shifting=True,
            base_shift=0.95,
            max_shift=2.05,
            base_image_seq_len=1024,
            max_image_seq_len=4096,
            shift_terminal=0.1,
        ),
    ).save_pretrained(folder)
