"""A small checkpoint of Mochi 1."""

import json
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKLMochi, FlowMatchEulerDiscreteScheduler, MochiPipeline, MochiTransformer3DModel

from builder.tiny import t5

MAX_TEXT_TOKENS = 256
VARIANTS = ("",)
PUBLISHED: dict[str, dict[str, dict[str, Any]]] = {}
_WIDTHS = (32, 32, 32, 32)  # the least that the autoencoder's norms of 32 groups take


def longest_prompt() -> torch.Tensor:
    """T5-XXL's states."""
    return torch.empty(1, MAX_TEXT_TOKENS, 4096, dtype=torch.bfloat16)


def save(folder: Path, variant: str) -> None:
    """Saves random networks, the same at every call, in diffusers layout. There is one variant, without a name."""
    torch.manual_seed(0)
    transformer = MochiTransformer3DModel(
        patch_size=2,
        num_attention_heads=2,
        attention_head_dim=8,
        num_layers=2,
        pooled_projection_dim=16,
        in_channels=12,
        text_embed_dim=t5.WIDTH,
        time_embed_dim=16,
        max_sequence_length=MAX_TEXT_TOKENS,
    )
    torch.nn.init.normal_(transformer.pos_frequencies)  # learned in the real one; zeros would hide where a token is
    MochiPipeline(
        tokenizer=t5.tokenizer(MAX_TEXT_TOKENS),
        text_encoder=t5.text_encoder(),
        transformer=transformer,
        vae=AutoencoderKLMochi(
            encoder_block_out_channels=_WIDTHS, decoder_block_out_channels=_WIDTHS, layers_per_block=(1, 1, 1, 1, 1)
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(invert_sigmas=True),
    ).save_pretrained(folder)
    index = json.loads((folder / "model_index.json").read_text())
    del index["force_zeros_for_empty_prompt"]  # the published file is older than the option
    (folder / "model_index.json").write_text(json.dumps(index, indent=2) + "\n")
