"""Wan 2.2: TI2V-5B makes video from text and from a first frame. Limits and defaults from its model card (1280x704 or
704x1280, 121 frames at 24 fps, 50 steps, guidance 5); bytes: the published configuration's parameters."""

from videoworker.models.checkpoint import Checkpoint, Component, Role
from videoworker.models.video_model import VideoModel

WAN = VideoModel(
    checkpoint=Checkpoint(
        model="wan",
        variant="ti2v-5b",
        folder="wan",
        repository="Wan-AI/Wan2.2-TI2V-5B-Diffusers",
        revision="b8fff7315c768468a5333511427288870b2e9635",
        licence="Apache-2.0",
        pipeline="WanPipeline",
        components=(
            Component("text_encoder", Role.TEXT_ENCODER, "bfloat16", 11_361_820_672),
            Component("transformer", Role.DENOISER, "bfloat16", 9_999_575_424),
            Component("vae", Role.AUTOENCODER, "float32", 2_818_754_672, dtype="float32"),
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
    default_width=1280,
    default_height=704,
    default_frames=121,
    fps=24,
    default_steps=50,
    default_guidance_scale=5.0,
    denoise_bytes=53,  # bench/results/activations.md: with a first frame; without 22
    decode_bytes=15_000,
    takes_image=True,
    continued_from=1,
    takes_flow_shift=True,
)

VARIANTS = (WAN,)
