"""HunyuanVideo-Foley: sound for a video, at 48 kHz, from its pictures and a text.

Repositories and defaults come from its model card and published code, bytes from the parameters of the published
configurations, and memory from bench/results/foley.md. Three repositories have the networks. None is in diffusers
layout.
"""

from dataclasses import replace

from videoworker.models.checkpoint import Checkpoint, Component, Origin, Role
from videoworker.models.sound_model import SoundModel

_EXTRACTORS = (
    Component("text_encoder", Role.TEXT_ENCODER, "float32", 498_582_528, dtype="float32"),
    Component("image_encoder", Role.IMAGE_ENCODER, "float32", 374_080_512, dtype="float32"),
    Component("synchformer", Role.VIDEO_ENCODER, "float16", 243_700_224, dtype="float16"),
)
_CODEC = Component("codec", Role.AUTOENCODER, "float32", 301_923_076, dtype="float32")
_REPOSITORY, _REVISION = "tencent/HunyuanVideo-Foley", "3abd4e833b95b8db0fc9c687afc52483a48e9a97"
_ENCODERS = (
    Origin(
        "google/siglip2-base-patch16-512",
        ("config.json", "model.safetensors"),
        1_500_000_000,
        revision="a89f5c5093f902bf39d3cd4d81d2c09867f0724b",
        licence="Apache-2.0",
    ),
    Origin(
        "laion/larger_clap_general",
        (
            "config.json",
            "pytorch_model.bin",
            "tokenizer.json",
            "tokenizer_config.json",
            "special_tokens_map.json",
            "vocab.json",
            "merges.txt",
        ),
        780_000_000,
        revision="ada0c23a36c4e8582805bb38fec3905903f18b41",
        licence="Apache-2.0",
    ),
)

FOLEY_XXL = SoundModel(
    checkpoint=Checkpoint(
        model="foley",
        variant="xxl",
        folder="foley",
        repository=_REPOSITORY,
        licence="tencent-hunyuan-community",
        territory="The weights are licensed outside the European Union, the United Kingdom and South Korea only.",
        pipeline="FoleyPipeline",
        components=(
            *_EXTRACTORS,
            Component("transformer", Role.DENOISER, "bfloat16", 10_268_029_696),
            _CODEC,
        ),
        origins=(
            Origin(
                _REPOSITORY,
                ("hunyuanvideo_foley.pth", "synchformer_state_dict.pth", "vae_128d_48k.pth"),
                12_740_000_000,
                revision=_REVISION,
            ),
            *_ENCODERS,
        ),
        layout="foley",
    ),
    family="foley",
    rank=10,
    sample_rate=48_000,
    max_seconds=30,
    default_steps=50,
    default_guidance_scale=4.5,
    default_negative_prompt="noisy, harsh",
    extract_bytes=360_000_000,
    denoise_bytes=104_000_000,
    decode_bytes=290_000_000,
)

FOLEY_XL = replace(
    FOLEY_XXL,
    checkpoint=replace(
        FOLEY_XXL.checkpoint,
        variant="xl",
        folder="foley-xl",
        components=(
            *_EXTRACTORS,
            Component("transformer", Role.DENOISER, "bfloat16", 5_825_925_376),
            _CODEC,
        ),
        origins=(
            Origin(
                _REPOSITORY,
                ("hunyuanvideo_foley_xl.pth", "synchformer_state_dict.pth", "vae_128d_48k.pth"),
                8_290_000_000,
                revision=_REVISION,
            ),
            *_ENCODERS,
        ),
    ),
    denoise_bytes=88_000_000,
)

VARIANTS = (FOLEY_XXL, FOLEY_XL)
