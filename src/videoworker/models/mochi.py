"""Mochi 1. Limits come from its model card, bytes from the parameters of its configuration.

dtypes are those of its authors' program (genmoai/mochi, src/genmo/mochi_preview): T5 in float32 (pipelines.py), the
transformer and the decoder in bfloat16 (pipelines.py; `decode_latents` in vae/models.py). The transformer warns if its
`pos_frequencies` are not in float32 (dit/joint_model/asymm_models_joint.py).
"""

from videoworker.models.checkpoint import Checkpoint, Component, PublishedFiles, Role
from videoworker.models.video_model import VideoModel

MOCHI = VideoModel(
    checkpoint=Checkpoint(
        model="mochi",
        folder="mochi",
        repository="genmo/mochi-1-preview",
        revision="14be5fcea23095ed330cb214647916a451e38b6e",
        listed_by=("pixelrhino-ai/vrhino", "sdevil7th/MoDiff"),
        licence="Apache-2.0",
        pipeline="MochiPipeline",
        components=(
            Component(
                "text_encoder",
                Role.TEXT_ENCODER,
                "float32",
                19_049_242_624,
                dtype="float32",
                published=(PublishedFiles("float32", 4),),
            ),
            Component(
                "transformer",
                Role.DENOISER,
                "bfloat16",
                20_055_355_488,
                published=(PublishedFiles("float32", 5), PublishedFiles("bfloat16", 3, is_marked=True)),
                float32_parts=("pos_frequencies",),
            ),
            Component(
                "vae",
                Role.AUTOENCODER,
                "bfloat16",
                919_497_222,
                published=(PublishedFiles("float32"), PublishedFiles("bfloat16", is_marked=True)),
            ),
        ),
    ),
    family="mochi",
    rank=30,
    grid=16,
    max_area=848 * 480,
    min_side=256,
    max_side=848,
    frame_step=6,
    min_frames=7,
    max_frames=163,
    default_width=848,
    default_height=480,
    default_frames=85,
    fps=30,
    default_steps=64,
    default_guidance_scale=4.5,
    denoise_bytes=77,  # bench/results/activations.md
    decode_bytes=15_000,
    decode_latent_bytes=6_300,
    fixed_schedule=True,
)

VARIANTS = (MOCHI,)
