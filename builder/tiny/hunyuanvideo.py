"""Small checkpoints of HunyuanVideo: `t2v`, `i2v` (token-replace) and `i2v-33ch` (the picture beside the noise).

Compression ratios, patch size, latent channels, layers read and prompt templates are the real ones; the rest is small.
"""

from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKLHunyuanVideo,
    FlowMatchEulerDiscreteScheduler,
    HunyuanVideoImageToVideoPipeline,
    HunyuanVideoPipeline,
    HunyuanVideoTransformer3DModel,
)
from diffusers.pipelines.hunyuan_video import pipeline_hunyuan_video, pipeline_hunyuan_video_image2video
from transformers import (
    CLIPImageProcessorPil,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPVisionConfig,
    LlamaConfig,
    LlamaModel,
    LlavaConfig,
    LlavaForConditionalGeneration,
)

from builder.tiny.byte_level import make_tokenizer
from videoworker.families.hunyuanvideo.family import Conditioning

VARIANTS = ("t2v", "i2v", "i2v-33ch")
PUBLISHED: dict[str, dict[str, dict[str, Any]]] = {}

_DIM = 32
_IMAGE_SIDE = 336  # in patches of 14 it has the 576 tokens that the image template makes room for
_LLAMA_TOKENS = ["<|begin_of_text|>", "<pad>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<image>"]
_CLIP_TOKENS = ["<|startoftext|>", "<|endoftext|>"]


def longest_prompt() -> Conditioning:
    """Llama's states, and CLIP's of the whole text."""
    states = torch.empty(1, 256, 4096, dtype=torch.bfloat16)
    return Conditioning(states, torch.ones(states.shape[:2]), torch.empty(1, 768, dtype=torch.bfloat16))


def save(folder: Path, variant: str) -> None:
    """Writes random networks, the same at every call."""
    torch.manual_seed(0)
    text = variant == "t2v"
    module = pipeline_hunyuan_video if text else pipeline_hunyuan_video_image2video
    tokenizer = make_tokenizer(
        _LLAMA_TOKENS,
        module.DEFAULT_PROMPT_TEMPLATE["template"].replace("{}", ""),
        left_out=("Ġ1",),  # as two tokens it makes the template as long as the real tokenizer does
        first="<|begin_of_text|>",
        pad_token="<pad>",
        bos_token="<|begin_of_text|>",
    )
    tokenizer_2 = make_tokenizer(
        _CLIP_TOKENS,
        first=_CLIP_TOKENS[0],
        last=_CLIP_TOKENS[1],
        bos_token=_CLIP_TOKENS[0],
        eos_token=_CLIP_TOKENS[1],
        pad_token=_CLIP_TOKENS[1],
        model_max_length=77,
    )
    language = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=_DIM,
        intermediate_size=48,
        num_hidden_layers=3,
        num_attention_heads=2,
        num_key_value_heads=1,
        pad_token_id=tokenizer.pad_token_id,
    )
    components = {
        "tokenizer": tokenizer,
        "tokenizer_2": tokenizer_2,
        "text_encoder": LlamaModel(language) if text else _vision_and_language(language, tokenizer),
        "text_encoder_2": CLIPTextModel(
            CLIPTextConfig(
                vocab_size=len(tokenizer_2),
                hidden_size=_DIM,
                intermediate_size=48,
                num_hidden_layers=1,
                num_attention_heads=2,
                bos_token_id=tokenizer_2.bos_token_id,
                eos_token_id=tokenizer_2.eos_token_id,
                pad_token_id=tokenizer_2.pad_token_id,
            )
        ),
        "transformer": _transformer(variant),
        "vae": AutoencoderKLHunyuanVideo(
            latent_channels=16, block_out_channels=(4, 4, 8, 8), layers_per_block=1, norm_num_groups=4
        ),
        "scheduler": FlowMatchEulerDiscreteScheduler(shift=17.0 if variant == "i2v-33ch" else 7.0),
    }
    if text:
        HunyuanVideoPipeline(**components).save_pretrained(folder)
        return
    processor = CLIPImageProcessorPil(
        size={"shortest_edge": _IMAGE_SIDE}, crop_size={"height": _IMAGE_SIDE, "width": _IMAGE_SIDE}
    )
    HunyuanVideoImageToVideoPipeline(image_processor=processor, **components).save_pretrained(folder)


def _vision_and_language(language: LlamaConfig, tokenizer: Any) -> LlavaForConditionalGeneration:
    vision = CLIPVisionConfig(
        hidden_size=8,
        intermediate_size=16,
        projection_dim=8,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=_IMAGE_SIDE,
        patch_size=14,
    )
    return LlavaForConditionalGeneration(
        LlavaConfig(
            vision_config=vision,
            text_config=language,
            image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def _transformer(variant: str) -> HunyuanVideoTransformer3DModel:
    beside = variant == "i2v-33ch"
    return HunyuanVideoTransformer3DModel(
        in_channels=33 if beside else 16,
        out_channels=16,
        num_attention_heads=2,
        attention_head_dim=16,
        num_layers=1,
        num_single_layers=1,
        num_refiner_layers=1,
        mlp_ratio=2.0,
        guidance_embeds=not beside,
        text_embed_dim=_DIM,
        pooled_projection_dim=_DIM,
        rope_axes_dim=(4, 6, 6),
        image_condition_type={"t2v": None, "i2v": "token_replace", "i2v-33ch": "latent_concat"}[variant],
    )
