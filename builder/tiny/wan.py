"""Small checkpoints of Wan 2.2: TI2V-5B, and both of A14B."""

from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKLWan,
    UniPCMultistepScheduler,
    WanImageToVideoPipeline,
    WanPipeline,
    WanTransformer3DModel,
)
from transformers import UMT5Config, UMT5EncoderModel

from builder.tiny import t5

MAX_TEXT_TOKENS = 512
LATENT_CHANNELS = 8

# By variant, how noisy a step is at least that the first of two transformers makes.
_BOUNDARIES = {"ti2v-5b": None, "t2v-a14b": 0.875, "i2v-a14b": 0.9}
VARIANTS = tuple(_BOUNDARIES)


def save(folder: Path, variant: str) -> None:
    """Saves random networks, the same at every call, in diffusers layout."""
    torch.manual_seed(0)
    boundary, of_5b = _BOUNDARIES[variant], variant == "ti2v-5b"
    seen = LATENT_CHANNELS * 2 + 4 if variant == "i2v-a14b" else LATENT_CHANNELS
    tokenizer = t5.tokenizer(MAX_TEXT_TOKENS)
    pipeline = WanImageToVideoPipeline if variant == "i2v-a14b" else WanPipeline
    pipeline(
        tokenizer=tokenizer,
        text_encoder=_text_encoder(len(tokenizer)),
        transformer=_transformer(seen),
        transformer_2=None if boundary is None else _transformer(seen),
        vae=_autoencoder_of_5b() if of_5b else _autoencoder(),
        scheduler=UniPCMultistepScheduler(
            prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=5.0 if of_5b else 3.0
        ),
        boundary_ratio=boundary,
        expand_timesteps=of_5b,
    ).save_pretrained(folder)


def _text_encoder(words: int) -> UMT5EncoderModel:
    config = UMT5Config(
        vocab_size=words, d_model=t5.WIDTH, d_kv=8, d_ff=32, num_layers=2, num_heads=2, dropout_rate=0.0
    )
    return UMT5EncoderModel(config).to(torch.float32)


def _transformer(in_channels: int) -> WanTransformer3DModel:
    return WanTransformer3DModel(
        num_attention_heads=2,
        attention_head_dim=12,
        in_channels=in_channels,
        out_channels=LATENT_CHANNELS,
        text_dim=t5.WIDTH,
        freq_dim=32,
        ffn_dim=32,
        num_layers=2,
    )


def _autoencoder(**more: Any) -> AutoencoderKLWan:
    """Four levels: 8 pixels a side, as in the real one."""
    return AutoencoderKLWan(
        base_dim=8,
        z_dim=LATENT_CHANNELS,
        num_res_blocks=1,
        latents_mean=torch.randn(LATENT_CHANNELS).tolist(),
        latents_std=(torch.rand(LATENT_CHANNELS) + 0.5).tolist(),
        **more,
    )


def _autoencoder_of_5b() -> AutoencoderKLWan:
    """Each pixel of its last level stands for four: 16 pixels a side."""
    return _autoencoder(
        decoder_base_dim=12, is_residual=True, in_channels=12, out_channels=12, patch_size=2, scale_factor_spatial=16
    )
