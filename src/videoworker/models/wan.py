"""Wan 2.2. TI2V-5B makes video from text and from a first frame; A14B has a variant for each, of two transformers.

Limits and defaults from the model cards: TI2V-5B 1280x704 or 704x1280, 121 frames at 24 fps, 50 steps, guidance 5; A14B
1280x720 or 720x1280, 81 frames at 16 fps, 40 steps, guidance 4 and 3 from text, 3.5 from an image. Bytes: the published
configurations' parameters.
"""

from dataclasses import replace

from videoworker.models.checkpoint import Checkpoint, Component, PublishedFiles, Role
from videoworker.models.video_model import Figure, VideoModel

_FLOAT32_PARTS = ("time_embedder", "scale_shift_table", "norm2")  # diffusers' `WanTransformer3DModel` keeps them so
_TRANSFORMER = Component(
    "transformer",
    Role.DENOISER,
    "bfloat16",
    28_576_983_168,
    published=(PublishedFiles("float32", 12),),
    float32_parts=_FLOAT32_PARTS,
)
_TEXT_ENCODER = Component(
    "text_encoder", Role.TEXT_ENCODER, "bfloat16", 11_361_820_672, published=(PublishedFiles("bfloat16", 3),)
)
_AUTOENCODER = Component(
    "vae", Role.AUTOENCODER, "float32", 507_570_124, dtype="float32", published=(PublishedFiles("float32"),)
)

WAN = VideoModel(
    checkpoint=Checkpoint(
        model="wan",
        variant="ti2v-5b",
        folder="wan",
        repository="Wan-AI/Wan2.2-TI2V-5B-Diffusers",
        revision="b8fff7315c768468a5333511427288870b2e9635",
        listed_by=("sdevil7th/MoDiff",),
        licence="Apache-2.0",
        pipeline="WanPipeline",
        components=(
            _TEXT_ENCODER,
            replace(_TRANSFORMER, size=9_999_575_424, published=(PublishedFiles("float32", 5),)),
            replace(_AUTOENCODER, size=2_818_754_672),
        ),
    ),
    family="wan",
    rank=25,
    grid=32,
    max_area=1280 * 704,
    min_side=256,
    max_side=1280,
    frame_step=4,
    min_frames=5,
    max_frames=121,
    figures=(Figure(57.5, "a Blackwell GPU", "Unsloth", "unslothai/unsloth#10729", 1280, 704, 121, 50, passes=2),),
    default_width=1280,
    default_height=704,
    default_frames=121,
    fps=24,
    default_steps=50,
    default_guidance_scale=5.0,
    denoise_bytes=53,  # bench/results/activations.md: with a first frame; without 22
    decode_bytes=15_000,
    decode_latent_bytes=7_600,
    takes_image=True,
    continued_from=1,
    takes_flow_shift=True,
)

WAN_T2V_A14B = VideoModel(
    checkpoint=Checkpoint(
        model="wan",
        variant="t2v-a14b",
        folder="wan-t2v-a14b",
        repository="Wan-AI/Wan2.2-T2V-A14B-Diffusers",
        revision="5be7df9619b54f4e2667b2755bc6a756675b5cd7",
        listed_by=("sdevil7th/MoDiff",),
        licence="Apache-2.0",
        pipeline="WanPipeline",
        components=(
            _TEXT_ENCODER,
            _TRANSFORMER,
            replace(_TRANSFORMER, name="transformer_2"),
            _AUTOENCODER,
        ),
    ),
    family="wan",
    rank=25,
    grid=16,
    max_area=1280 * 720,
    min_side=256,
    max_side=1280,
    frame_step=4,
    min_frames=5,
    max_frames=81,
    default_width=1280,
    default_height=720,
    default_frames=81,
    fps=16,
    default_steps=40,
    default_guidance_scale=4.0,
    default_low_noise_guidance_scale=3.0,
    denoise_bytes=119,  # bench/results/activations.md; an image's 81 frames are encoded in less than decoding takes
    decode_bytes=14_300,
    decode_latent_bytes=3_400,
    takes_flow_shift=True,
)

# The image's latents and a mask are 20 more channels.
WAN_I2V_A14B = replace(
    WAN_T2V_A14B,
    checkpoint=replace(
        WAN_T2V_A14B.checkpoint,
        variant="i2v-a14b",
        folder="wan-i2v-a14b",
        repository="Wan-AI/Wan2.2-I2V-A14B-Diffusers",
        revision=None,
        pipeline="WanImageToVideoPipeline",
    ),
    default_guidance_scale=3.5,
    default_low_noise_guidance_scale=None,
    takes_image=True,
    needs_image=True,
    continued_from=1,
)

VARIANTS = (WAN, WAN_T2V_A14B, WAN_I2V_A14B)
