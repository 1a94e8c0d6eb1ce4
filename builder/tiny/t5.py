"""A small T5 text encoder and its tokenizer, for the families that read prompts with T5."""

import torch
from transformers import PreTrainedTokenizerFast, T5Config, T5EncoderModel, T5Tokenizer

WIDTH = 16

# Pieces of a Unigram vocabulary with their scores: T5's special tokens, then every printable ASCII character.
_PIECES = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0)] + [(chr(code), -3.0) for code in range(33, 127)]


def tokenizer(max_length: int) -> PreTrainedTokenizerFast:
    """One token per character, and the end mark."""
    return T5Tokenizer(vocab=_PIECES, extra_ids=0, model_max_length=max_length)


def text_encoder() -> T5EncoderModel:
    """Numbers that depend on the seed that PyTorch has."""
    return T5EncoderModel(
        T5Config(
            vocab_size=len(_PIECES),
            d_model=WIDTH,
            d_kv=8,
            d_ff=32,
            num_layers=2,
            num_heads=2,
            dropout_rate=0.0,
            feed_forward_proj="gated-gelu",
        )
    ).to(torch.float32)
