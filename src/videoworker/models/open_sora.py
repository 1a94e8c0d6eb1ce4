"""Open-Sora 2. Limits come from its repository, which is not in diffusers layout. No family here runs it yet."""

from videoworker.models.checkpoint import Checkpoint
from videoworker.models.video_model import VideoModel

OPEN_SORA = VideoModel(
    checkpoint=Checkpoint(
        model="open-sora",
        folder="open-sora",
        repository="hpcai-tech/Open-Sora-v2",
        licence="Apache-2.0",
        pipeline="",
        components=(),
    ),
    family=None,
    rank=50,
    grid=16,
    max_area=768 * 768,
    min_side=256,
    max_side=1024,
    frame_step=4,
    min_frames=5,
    max_frames=129,
    default_width=768,
    default_height=432,
    default_frames=129,
    fps=24,
    default_steps=50,
    default_guidance_scale=7.5,
)

VARIANTS = (OPEN_SORA,)
