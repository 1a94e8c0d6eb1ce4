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

_SEEN_BESIDE = {"in_channels": 36}
_5B = {"in_channels": 48, "out_channels": 48, "num_attention_heads": 24, "ffn_dim": 14336, "num_layers": 30}
_AUTOENCODER_OF_5B = {
    "base_dim": 160,
    "decoder_base_dim": 256,
    "z_dim": 48,
    "latents_mean": [0.0] * 48,  # these two as long as the published ones, but of other numbers
    "latents_std": [1.0] * 48,
    "is_residual": True,
    "in_channels": 12,
    "out_channels": 12,
    "patch_size": 2,
    "scale_factor_spatial": 16,
}
PUBLISHED: dict[str, dict[str, dict[str, Any]]] = {
    "ti2v-5b": {"transformer": _5B, "vae": _AUTOENCODER_OF_5B},
    "i2v-a14b": {"transformer": _SEEN_BESIDE, "transformer_2": _SEEN_BESIDE},
}


def longest_prompt() -> torch.Tensor:
    """UMT5-XXL's states."""
    return torch.empty(1, MAX_TEXT_TOKENS, 4096, dtype=torch.bfloat16)


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
