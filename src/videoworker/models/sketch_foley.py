"""`sketch-foley`, the small sound model that ships in this repository. Its architecture is HunyuanVideo-Foley's."""

from videoworker.models.checkpoint import Checkpoint, Component, Role
from videoworker.models.sketch import SKETCH
from videoworker.models.sound_model import SoundModel

SKETCH_FOLEY = SoundModel(
    checkpoint=Checkpoint(
        model="sketch-foley",
        folder="sketch-foley",
        repository="",
        licence="Apache-2.0",
        pipeline="FoleyPipeline",
        components=(
            Component("text_encoder", Role.TEXT_ENCODER, "float32", 379_000, dtype="float32"),
            Component("image_encoder", Role.IMAGE_ENCODER, "float32", 1_296_000, dtype="float32"),
            Component("synchformer", Role.VIDEO_ENCODER, "float16", 1_121_000, dtype="float32"),
            Component("transformer", Role.DENOISER, "bfloat16", 3_514_000),
            Component("codec", Role.AUTOENCODER, "float16", 2_535_000, dtype="float32"),
        ),
    ),
    family="foley",
    rank=100,
    sample_rate=48_000,
    max_seconds=30,
    default_steps=16,
    default_guidance_scale=1.5,
    default_negative_prompt="",
    extract_bytes=4_000_000,
    denoise_bytes=9_000_000,
    decode_bytes=37_000_000,
    needs_gpu=False,
    made_for=(SKETCH.name,),
)

VARIANTS = (SKETCH_FOLEY,)
