"""The networks of `sketch-foley` that are trained: HunyuanVideo-Foley's at a small size, and its tokenizer."""

from typing import Any

import torch
from tokenizers import normalizers
from torch import nn
from transformers import (
    ClapTextConfig,
    ClapTextModel,
    PreTrainedTokenizerFast,
    SiglipVisionConfig,
    SiglipVisionModel,
    T5Tokenizer,
)

from builder.sketch_foley import prompts
from builder.sketch_foley.sounds import CHANNELS
from videoworker.families.foley.features import MAX_TEXT_TOKENS
from videoworker.families.foley.synchformer import Synchformer
from videoworker.families.foley.transformer import FoleyTransformer

TEXT_DIM, VISUAL_DIM, SYNC_DIM = 64, 96, 96
PICTURE_SIDE = MOTION_SIDE = 64
PICTURE_PATCH, MOTION_PATCH = 8, 16


def transformer() -> FoleyTransformer:
    """Its modulations start at zero, so that every block starts as the identity, and its first and last layers such
    that it predicts what it is given: most of that is noise, which is most of the velocity."""
    model: FoleyTransformer = FoleyTransformer(
        num_triple_blocks=2,
        num_single_blocks=2,
        hidden_size=96,
        num_heads=2,
        text_dim=TEXT_DIM,
        visual_dim=VISUAL_DIM,
        sync_dim=SYNC_DIM,
        latent_channels=CHANNELS,
    )
    for name, parameter in model.named_parameters():
        if "_mod.linear" in name or "modulation.linear" in name or "audio_embedder" in name or "final_layer" in name:
            nn.init.zeros_(parameter)
    layers: Any = model
    with torch.no_grad():
        layers.audio_embedder["proj"].weight[:CHANNELS, :, 0] = torch.eye(CHANNELS)
        # the last norm gives the channels, of variance 1 among zeros, this much more
        layers.final_layer.linear.weight[:, :CHANNELS] = (CHANNELS / model.config.hidden_size) ** 0.5 * torch.eye(
            CHANNELS
        )
        layers.sync_in[2].w2.weight *= 0.1
    return model


def synchformer() -> Synchformer:
    model: Synchformer = Synchformer(
        hidden_size=SYNC_DIM, num_blocks=2, num_heads=2, image_size=MOTION_SIDE, patch_size=MOTION_PATCH
    )
    with torch.no_grad():
        for token in (model.cls_token, model.spatial_attn_agg.cls_token):
            nn.init.normal_(token, std=0.02)
        model.pos_embed[0, 1:] = _places(MOTION_SIDE // MOTION_PATCH, SYNC_DIM)
        model.temp_embed[0] = _waves(torch.linspace(-1, 1, model.temp_embed.shape[1]), SYNC_DIM)
    return model


def image_encoder() -> SiglipVisionModel:
    model = SiglipVisionModel(
        SiglipVisionConfig(
            hidden_size=VISUAL_DIM,
            intermediate_size=2 * VISUAL_DIM,
            num_hidden_layers=3,
            num_attention_heads=3,
            image_size=PICTURE_SIDE,
            patch_size=PICTURE_PATCH,
        )
    )
    with torch.no_grad():
        model.embeddings.position_embedding.weight.copy_(_places(PICTURE_SIDE // PICTURE_PATCH, VISUAL_DIM))
    return model


def _places(count: int, width: int) -> torch.Tensor:
    """What the positions of count * count patches begin as: waves of the row in one half, of the column in the other.
    Random ones would have to be learnt one by one."""
    ticks = torch.linspace(-1, 1, count)
    rows, columns = (_waves(one.flatten(), width // 2) for one in torch.meshgrid(ticks, ticks, indexing="ij"))
    return torch.cat([rows, columns], -1)


def _waves(places: torch.Tensor, width: int) -> torch.Tensor:
    """[n, width] of places from -1 to 1."""
    angles = places[:, None] * torch.linspace(0.5, 6, width // 2)
    return 0.3 * torch.cat([angles.sin(), angles.cos()], -1)


def text_encoder(vocab_size: int) -> ClapTextModel:
    return ClapTextModel(
        ClapTextConfig(
            vocab_size=vocab_size,
            hidden_size=TEXT_DIM,
            intermediate_size=2 * TEXT_DIM,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=MAX_TEXT_TOKENS + 51,
            pad_token_id=0,
            bos_token_id=1,
            eos_token_id=1,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
        )
    )


def tokenizer() -> PreTrainedTokenizerFast:
    """A unigram tokenizer that ignores case: one piece per known word, single letters for all others."""
    pieces: list[tuple[str, float]] = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -100.0), ("▁", -12.0)]
    pieces += [(letter, -12.0) for letter in prompts.letters()]
    pieces += [("▁" + word, -4.0) for word in prompts.vocabulary()]
    rules = T5Tokenizer(vocab=pieces, extra_ids=0).backend_tokenizer
    rules.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    return PreTrainedTokenizerFast(
        tokenizer_object=rules, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", model_max_length=512
    )
