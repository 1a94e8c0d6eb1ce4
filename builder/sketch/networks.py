"""The networks of `sketch`: CogVideoX's classes at a small size, and the tokenizer made from the scenes' words.

Sources of the architecture: `CogVideoXTransformer3DModel` with the rotary positions of CogVideoX-5B, its
`AutoencoderKLCogVideoX` and DDIM scheduler; the image latents beside the noise are those of CogVideoX-5B-I2V.
"""

import torch
from diffusers import AutoencoderKLCogVideoX, CogVideoXDDIMScheduler, CogVideoXTransformer3DModel
from tokenizers import normalizers
from torch.nn import init
from transformers import PreTrainedTokenizerFast, T5Config, T5EncoderModel, T5Tokenizer

from builder.sketch import prompts

MAX_TEXT_TOKENS = 40
LATENT_CHANNELS = 16
NUM_FRAMES = 25


def tokenizer() -> PreTrainedTokenizerFast:
    """A unigram tokenizer that ignores case: one piece per known word, single letters for all others.

    Saved as `PreTrainedTokenizerFast`, because `T5Tokenizer` rebuilds its rules on loading and would lose the
    lower-casing.
    """
    pieces: list[tuple[str, float]] = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -100.0), ("▁", -12.0)]
    pieces += [(letter, -12.0) for letter in prompts.letters()]
    pieces += [("▁" + word, -4.0) for word in prompts.vocabulary()]
    rules = T5Tokenizer(vocab=pieces, extra_ids=0).backend_tokenizer
    rules.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    return PreTrainedTokenizerFast(
        tokenizer_object=rules, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", model_max_length=MAX_TEXT_TOKENS
    )


def text_encoder(vocab_size: int) -> T5EncoderModel:
    """Starts with one head that looks at the words before, one at those after, one at both and one anywhere: T5 learns
    word order through these biases alone, and from nothing it takes long to notice that it matters."""
    model = T5EncoderModel(
        T5Config(
            vocab_size=vocab_size,
            d_model=128,
            d_kv=32,
            d_ff=256,
            num_layers=3,
            num_heads=4,
            dropout_rate=0.0,
            feed_forward_proj="gated-gelu",
            relative_attention_num_buckets=32,
            relative_attention_max_distance=64,
        )
    )
    buckets = torch.arange(32)
    distance, after = buckets % 16, buckets >= 16  # T5's buckets: 16 for keys before the query, 16 for those after
    heads = (-distance - 4.0 * after, -distance - 4.0 * ~after, -distance / 2, 0.0 * distance)
    with torch.no_grad():
        model.encoder.block[0].layer[0].SelfAttention.relative_attention_bias.weight.copy_(torch.stack(heads, 1))
    return model


def autoencoder() -> AutoencoderKLCogVideoX:
    """Two groups in every norm: with many small groups a flat colour's value would be normalised away."""
    return AutoencoderKLCogVideoX(
        block_out_channels=(16, 32, 64, 64),
        layers_per_block=1,
        latent_channels=LATENT_CHANNELS,
        norm_num_groups=2,
        temporal_compression_ratio=4,
        sample_height=256,
        sample_width=256,
    )


def transformer() -> CogVideoXTransformer3DModel:
    """Its modulation starts at zero, so that every block starts as the identity and training is quick. Its positions
    are those of a grid of 64x64 latents, on which the tokens of 256x256 are two apart: the distances that it began to
    be trained at, with pictures of 128x128 and patches of half the size."""
    model = CogVideoXTransformer3DModel(
        num_attention_heads=4,
        attention_head_dim=64,
        in_channels=2 * LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        time_embed_dim=128,
        text_embed_dim=128,
        num_layers=8,
        sample_width=64,
        sample_height=64,
        sample_frames=NUM_FRAMES,
        patch_size=4,
        temporal_compression_ratio=4,
        max_text_seq_length=MAX_TEXT_TOKENS,
        spatial_interpolation_scale=1.0,
        temporal_interpolation_scale=1.0,
        use_rotary_positional_embeddings=True,
    )
    for block in model.transformer_blocks:
        for linear in (block.norm1.linear, block.norm2.linear):
            init.zeros_(linear.weight)
            init.zeros_(linear.bias)
    return model


def scheduler() -> CogVideoXDDIMScheduler:
    """Predicts the clean latents themselves: a token of 4x4 patches has 256 numbers, and a network hardly wider than
    that cannot carry all of the noise through its layers, which predicting noise or velocity would need
    (arXiv:2511.13720). The signal-to-noise ratio is shifted further down than CogVideoX-2B's 3: flat shapes are so
    redundant that where they are is decided in noise that drowns a photograph."""
    return CogVideoXDDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="sample",
        rescale_betas_zero_snr=True,
        snr_shift_scale=20.0,
        timestep_spacing="trailing",
        clip_sample=False,
        set_alpha_to_one=True,
    )
