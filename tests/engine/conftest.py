"""A checkpoint of random numbers, small enough to be made and sampled in a moment, in the layout of the real ones."""

from pathlib import Path

import pytest
import torch
from diffusers import (
    AutoencoderKLCogVideoX,
    CogVideoXDDIMScheduler,
    CogVideoXPipeline,
    CogVideoXTransformer3DModel,
)
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast, T5Config, T5EncoderModel

from videoworker.settings import Settings

WORDS = "<pad> </s> <unk> a red blue circle square moving right on ground".split()
MAX_TEXT_TOKENS = 12
LATENT_CHANNELS = 4


def save_checkpoint(folder: Path, takes_image: bool) -> Path:
    """Saves CogVideoX's networks with random numbers, the same at every call, in diffusers layout."""
    torch.manual_seed(0)
    words = Tokenizer(models.WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    CogVideoXPipeline(
        tokenizer=PreTrainedTokenizerFast(
            tokenizer_object=words, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
        ),
        text_encoder=T5EncoderModel(
            T5Config(vocab_size=len(WORDS), d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2)
        ),
        vae=AutoencoderKLCogVideoX(
            block_out_channels=(8, 8, 8, 8),
            layers_per_block=1,
            latent_channels=LATENT_CHANNELS,
            norm_num_groups=2,
            temporal_compression_ratio=4,
        ),
        transformer=CogVideoXTransformer3DModel(
            num_attention_heads=2,
            attention_head_dim=16,
            in_channels=LATENT_CHANNELS * (2 if takes_image else 1),
            out_channels=LATENT_CHANNELS,
            time_embed_dim=16,
            text_embed_dim=16,
            num_layers=2,
            sample_width=8,
            sample_height=8,
            sample_frames=25,
            patch_size=2,
            max_text_seq_length=MAX_TEXT_TOKENS,
        ),
        scheduler=CogVideoXDDIMScheduler(
            beta_start=0.00085,
            beta_end=0.012,
            beta_schedule="scaled_linear",
            prediction_type="v_prediction",
            rescale_betas_zero_snr=True,
            snr_shift_scale=3.0,
            timestep_spacing="trailing",
            clip_sample=False,
            set_alpha_to_one=True,
        ),
    ).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def image_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a model for text and pictures, like `sketch`; it lies where the weights of `sketch` do."""
    return save_checkpoint(tmp_path_factory.mktemp("weights") / "sketch", takes_image=True)


@pytest.fixture(scope="session")
def text_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a model for text alone, like CogVideoX-2B."""
    return save_checkpoint(tmp_path_factory.mktemp("weights") / "cogvideox", takes_image=False)


@pytest.fixture
def tiny(image_checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings of a worker whose `sketch` is the small checkpoint."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    return Settings(weights_dir=image_checkpoint.parent)
