"""`sketch`, the small model that ships in this repository. Its architecture is CogVideoX's."""

from videoworker.models.checkpoint import Checkpoint, Component, Role
from videoworker.models.video_model import Figure, VideoModel

SKETCH = VideoModel(
    checkpoint=Checkpoint(
        model="sketch",
        folder="sketch",
        repository="",
        licence="Apache-2.0",
        pipeline="CogVideoXPipeline",
        components=(
            Component("text_encoder", Role.TEXT_ENCODER, "bfloat16", 1_056_000),
            Component("transformer", Role.DENOISER, "bfloat16", 19_696_000),
            Component("vae", Role.AUTOENCODER, "bfloat16", 5_322_000),
        ),
    ),
    family="cogvideox",
    rank=100,
    grid=32,
    max_area=256 * 256,
    min_side=192,
    max_side=320,
    frame_step=4,
    min_frames=25,
    max_frames=25,
    default_width=256,
    default_height=256,
    default_frames=25,
    fps=12,
    default_steps=20,
    default_guidance_scale=2.0,
    denoise_bytes=100,  # at most: CogVideoX-2B's
    decode_bytes=22_000,
    figures=(Figure(6.4, "two CPU cores", "this worker", "docs/measurements.md", 256, 256, 25, 20, passes=2),),
    rgb=(
        (0.030, 0.003, 0.020),
        (-0.161, 0.036, 0.108),
        (0.072, 0.062, 0.080),
        (-0.061, -0.052, -0.012),
        (0.003, -0.037, 0.029),
        (-0.081, 0.010, 0.015),
        (0.116, 0.075, 0.182),
        (-0.235, -0.050, -0.063),
        (0.010, 0.027, 0.008),
        (0.252, 0.178, -0.080),
        (-0.014, -0.007, 0.002),
        (0.077, 0.077, -0.242),
        (-0.047, 0.042, 0.029),
        (-0.040, -0.015, -0.047),
        (0.129, -0.093, -0.070),
        (-0.071, 0.050, 0.071),
        (0.172, 0.013, -0.117),
    ),
    takes_image=True,
    continued_from=5,
    needs_gpu=False,
)

VARIANTS = (SKETCH,)
