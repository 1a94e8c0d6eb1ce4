"""Open-Sora 2. It makes video from text and from a first frame with the same weights.

Sizes, lengths and defaults from its repository's configurations (192x336 to 768x768 and 1184x496, 129 frames at 24 fps,
50 steps, guidance 7.5), bytes from the parameters of the published files.
"""

from videoworker.models.checkpoint import Checkpoint, Component, PublishedFiles, Role
from videoworker.models.video_model import Figure, VideoModel

# 50 steps of three passes. A clip from text takes 80 passes here, and one with a first frame 110.
_FIGURE = Figure(1656, "an H100", "its authors' program", "hpcaitech/Open-Sora", 1024, 576, 129, 50, passes=3)

OPEN_SORA = VideoModel(
    checkpoint=Checkpoint(
        model="open-sora",
        folder="open-sora",
        repository="hpcai-tech/Open-Sora-v2",
        licence="Apache-2.0 (autoencoder: tencent-hunyuan-community)",
        territory="Its autoencoder is HunyuanVideo's, which Tencent licenses outside the European Union, the United "
        "Kingdom and South Korea only.",
        pipeline="",
        components=(
            Component(
                "transformer",
                Role.DENOISER,
                "bfloat16",
                23_782_781_056,
                published=(PublishedFiles("bfloat16"),),
                path="Open_Sora_v2.safetensors",
            ),
            Component(
                "vae",
                Role.AUTOENCODER,
                "bfloat16",
                492_957_606,
                published=(PublishedFiles("bfloat16"),),
                path="hunyuan_vae.safetensors",
            ),
            Component(
                "text_encoder",
                Role.TEXT_ENCODER,
                "bfloat16",
                9_524_621_312,
                published=(PublishedFiles("float32", 4),),
                path="google/t5-v1_1-xxl",
            ),
            Component(
                "text_encoder_2",
                Role.TEXT_ENCODER,
                "bfloat16",
                855_233_026,
                published=(PublishedFiles("float32"),),
                path="openai/clip-vit-large-patch14",
                loaded="text_model.",
            ),
        ),
    ),
    family="open_sora",
    rank=50,
    grid=16,
    max_area=768 * 768,
    min_side=160,
    max_side=1184,
    frame_step=4,
    min_frames=5,
    max_frames=129,
    default_width=1024,
    default_height=576,
    default_frames=129,
    fps=24,
    default_steps=50,
    default_guidance_scale=7.5,
    denoise_bytes=112,  # bench/results/activations.md: with a first frame
    decode_bytes=195_000,
    decode_area=256 * 256,
    figures=(_FIGURE,),
    takes_image=True,
    continued_from=1,
    takes_flow_shift=True,
)

VARIANTS = (OPEN_SORA,)
