"""Small checkpoints of HunyuanVideo-1.5's variants: what differs between them is as in the real configurations.

Compression ratios, layers read and the prompt template are the real ones; the rest is small, but for one projection
whose width of 2048 is not configured (16 MiB).
"""

from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKLHunyuanVideo15,
    ClassifierFreeGuidance,
    FlowMatchEulerDiscreteScheduler,
    HunyuanVideo15ImageToVideoPipeline,
    HunyuanVideo15Pipeline,
    HunyuanVideo15Transformer3DModel,
)
from transformers import (
    ByT5Tokenizer,
    Qwen2_5_VLTextConfig,
    Qwen2_5_VLTextModel,
    SiglipImageProcessorPil,
    SiglipVisionConfig,
    SiglipVisionModel,
    T5Config,
    T5EncoderModel,
)

from builder.tiny.byte_level import make_tokenizer
from videoworker.families.hunyuanvideo_1_5.family import SYSTEM_MESSAGE, Conditioning

# The schedule's shift of each.
_SHIFTS = {
    "720p-t2v": 9.0,
    "720p-i2v": 7.0,
    "720p-i2v-distilled": 7.0,
    "480p-t2v": 5.0,
    "480p-t2v-distilled": 5.0,
    "480p-i2v": 5.0,
    "480p-i2v-distilled": 5.0,
    "480p-i2v-step-distilled": 7.0,
}
VARIANTS = tuple(_SHIFTS)
PUBLISHED: dict[str, dict[str, dict[str, Any]]] = {}
LATENT_CHANNELS = 4
TARGET_SIDE = 64  # diffusers' image pipeline makes areas of this side squared

WIDTH, GLYPH_DIM = 32, 24  # of the states of prompts and pictures, and of letters
_IMAGE_SIDE = 28
_QWEN_TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
_CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def longest_prompt() -> Conditioning:
    """Qwen's states, ByT5's of the quoted words, and no picture's."""
    lengths = (1000, 3584), (256, 1472), (0, 1152)
    return Conditioning(*(torch.empty(1, *length, dtype=torch.bfloat16) for length in lengths))


def save(folder: Path, variant: str) -> None:
    """Saves random networks, the same at every call, in diffusers layout."""
    torch.manual_seed(0)
    tokenizer = make_tokenizer(
        _QWEN_TOKENS,
        f"<|im_start|>system\n{SYSTEM_MESSAGE}<|im_end|>\n<|im_start|>user\nassistant",
        left_out=("Ġ1", "Ġ2", "Ġ3", "Ġ4", "Ġ5"),  # as two tokens each: as long as the real tokenizer makes it
        pad_token="<|endoftext|>",
        eos_token="<|im_end|>",
        chat_template=_CHAT_TEMPLATE,
    )
    components: dict[str, Any] = {
        "tokenizer": tokenizer,
        "tokenizer_2": ByT5Tokenizer(),
        "text_encoder": Qwen2_5_VLTextModel(
            Qwen2_5_VLTextConfig(
                vocab_size=len(tokenizer),
                hidden_size=WIDTH,
                intermediate_size=48,
                num_hidden_layers=3,
                num_attention_heads=2,
                num_key_value_heads=1,
                bos_token_id=None,
                eos_token_id=tokenizer.eos_token_id,
                rope_parameters={"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 1_000_000.0},
            )
        ),
        "text_encoder_2": T5EncoderModel(
            T5Config(vocab_size=384, d_model=GLYPH_DIM, d_kv=8, d_ff=32, num_layers=1, num_heads=2, dropout_rate=0.0)
        ),
        "transformer": HunyuanVideo15Transformer3DModel(
            in_channels=2 * LATENT_CHANNELS + 1,
            out_channels=LATENT_CHANNELS,
            num_attention_heads=2,
            attention_head_dim=16,
            num_layers=2,
            num_refiner_layers=1,
            mlp_ratio=2.0,
            text_embed_dim=WIDTH,
            text_embed_2_dim=GLYPH_DIM,
            image_embed_dim=WIDTH,
            rope_axes_dim=(4, 6, 6),
            target_size=TARGET_SIDE,
            task_type="i2v" if "i2v" in variant else "t2v",
            use_meanflow="step-distilled" in variant,
        ),
        "vae": AutoencoderKLHunyuanVideo15(
            latent_channels=LATENT_CHANNELS, block_out_channels=(4, 8, 8, 8, 8), layers_per_block=1
        ),
        "scheduler": FlowMatchEulerDiscreteScheduler(shift=_SHIFTS[variant]),
        "guider": ClassifierFreeGuidance(guidance_scale=1.0 if "distilled" in variant else 6.0),
    }
    if "t2v" in variant:
        HunyuanVideo15Pipeline(**components).save_pretrained(folder)
        return
    HunyuanVideo15ImageToVideoPipeline(
        image_encoder=SiglipVisionModel(
            SiglipVisionConfig(
                hidden_size=WIDTH,
                intermediate_size=48,
                num_hidden_layers=1,
                num_attention_heads=2,
                image_size=_IMAGE_SIDE,
                patch_size=14,
            )
        ),
        feature_extractor=SiglipImageProcessorPil(size={"height": _IMAGE_SIDE, "width": _IMAGE_SIDE}),
        **components,
    ).save_pretrained(folder)
