"""LTX-Video: text and image with the same weights.

Limits come from its model card: sides in multiples of 32, at most 720x1280 and 257 frames. Defaults come from its
reference pipeline, bytes from the parameters of its configuration. That pipeline runs all networks in bfloat16
(Lightricks/LTX-Video, inference.py).
"""

from videoworker.models.checkpoint import Checkpoint, Component, PublishedFiles, Role
from videoworker.models.video_model import VideoModel

LTX = VideoModel(
    checkpoint=Checkpoint(
        model="ltx",
        folder="ltx",
        repository="Lightricks/LTX-Video",
        revision="8984fa25007f376c1a299016d0957a37a2f797bb",
        listed_by=("pantheongpu/pantheonworkloads",),
        licence="ltx-video-open-weights",
        conditions="Commercial use of the weights is limited by the LTX-Video Open Weights licence.",
        pipeline="LTXPipeline",
        components=(
            Component(
                "text_encoder", Role.TEXT_ENCODER, "bfloat16", 9_524_621_312, published=(PublishedFiles("float32", 4),)
            ),
            Component(
                "transformer", Role.DENOISER, "bfloat16", 3_850_000_000, published=(PublishedFiles("float32", 2),)
            ),
            Component("vae", Role.AUTOENCODER, "bfloat16", 840_000_000, published=(PublishedFiles("float32"),)),
        ),
    ),
    family="ltx",
    rank=40,
    grid=32,
    max_area=1280 * 704,
    min_side=256,
    max_side=1280,
    frame_step=8,
    min_frames=9,
    max_frames=257,
    default_width=704,
    default_height=512,
    default_frames=161,
    fps=25,
    default_steps=50,
    default_guidance_scale=3.0,
    denoise_bytes=16,  # bench/results/activations.md
    decode_bytes=4_900,
    decode_latent_bytes=3_400,
    takes_image=True,
    continued_from=1,
)

VARIANTS = (LTX,)
