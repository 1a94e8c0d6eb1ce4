"""CogVideoX, from text and from an image.

Sizes, lengths and defaults come from the model cards. CogVideoX: 720x480, 49 frames at 8 fps. CogVideoX1.5: short side
768, long side up to 1360, 81 frames at 16 fps. Both: 50 steps, guidance 6. Bytes come from the parameters of the
published configurations.

dtypes come from the model cards. 2B was trained in float16, the others in bfloat16 (zai-org/CogVideo#217, #637). In
float16 transformers keeps the layers `wo` of T5 in float32, because their numbers grow too large.
"""

from dataclasses import replace

from videoworker.models.checkpoint import Checkpoint, Component, PublishedFiles, Role
from videoworker.models.video_model import Figure, VideoModel

_FIGURE = Figure(45, "an H100", "its authors' program", "zai-org/CogVideo", 720, 480, 49, 50, passes=2)
_REGISTRATION = "Commercial use of the weights needs a registration under the CogVideoX licence."
_TEXT_TO_VIDEO, _IMAGE_TO_VIDEO = "CogVideoXPipeline", "CogVideoXImageToVideoPipeline"

_TEXT_ENCODER = Component(
    "text_encoder", Role.TEXT_ENCODER, "bfloat16", 9_524_621_312, published=(PublishedFiles("bfloat16", 2),)
)
_TRANSFORMER = Component(
    "transformer", Role.DENOISER, "bfloat16", 11_140_000_000, published=(PublishedFiles("bfloat16", 2),)
)
# The same file in all repositories: its hash is the same, and 862,388,596 bytes are four for each parameter.
_AUTOENCODER = Component("vae", Role.AUTOENCODER, "bfloat16", 431_167_814, published=(PublishedFiles("float32"),))
_IN_3_PARTS = replace(_TRANSFORMER, published=(PublishedFiles("bfloat16", 3),))
_1_5_COMPONENTS = (replace(_TEXT_ENCODER, published=(PublishedFiles("float32", 4),)), _IN_3_PARTS, _AUTOENCODER)

COGVIDEOX = VideoModel(
    checkpoint=Checkpoint(
        model="cogvideox",
        variant="2b",
        folder="cogvideox",
        repository="zai-org/CogVideoX-2b",
        revision="1137dacfc2c9c012bed6a0793f4ecf2ca8e7ba01",
        listed_by=("pantheongpu/pantheonworkloads", "sdevil7th/MoDiff"),
        licence="Apache-2.0",
        pipeline=_TEXT_TO_VIDEO,
        components=(
            replace(
                _TEXT_ENCODER,
                stored="float16",
                dtype="float16",
                published=(PublishedFiles("float16", 2),),
                float32_parts=(".wo.",),
                float32_parameters=24 * 10240 * 4096,
            ),
            Component(
                "transformer",
                Role.DENOISER,
                "float16",
                3_387_567_744,
                dtype="float16",
                published=(PublishedFiles("float16"),),
            ),
            replace(_AUTOENCODER, stored="float16", dtype="float16"),
        ),
    ),
    family="cogvideox",
    rank=60,
    grid=16,
    max_area=720 * 480,
    min_side=256,
    max_side=720,
    frame_step=8,
    min_frames=9,
    max_frames=49,
    default_width=720,
    default_height=480,
    default_frames=49,
    fps=8,
    default_steps=50,
    default_guidance_scale=6.0,
    denoise_bytes=100,  # bench/results/activations.md, as all of the family
    decode_bytes=22_000,
    continued_by="5b-i2v",
    figures=(_FIGURE,),
)

COGVIDEOX_5B = replace(
    COGVIDEOX,
    checkpoint=Checkpoint(
        model="cogvideox",
        variant="5b",
        folder="cogvideox-5b",
        repository="zai-org/CogVideoX-5b",
        revision="8fc5b281006c82b82d34fd2543d2f0ebb4e7e321",
        listed_by=("pantheongpu/pantheonworkloads",),
        licence="CogVideoX",
        conditions=_REGISTRATION,
        pipeline=_TEXT_TO_VIDEO,
        components=(_TEXT_ENCODER, _TRANSFORMER, _AUTOENCODER),
    ),
    denoise_bytes=185,
    figures=(replace(_FIGURE, seconds=90),),
)

COGVIDEOX_5B_I2V = replace(
    COGVIDEOX_5B,
    checkpoint=replace(
        COGVIDEOX_5B.checkpoint,
        variant="5b-i2v",
        folder="cogvideox-5b-i2v",
        repository="zai-org/CogVideoX-5b-I2V",
        revision="a6f0f4858a8395e7429d82493864ce92bf73af11",
        listed_by=("ZHUI/paddlenlp_model_readme",),
        components=(_TEXT_ENCODER, _IN_3_PARTS, _AUTOENCODER),
        pipeline=_IMAGE_TO_VIDEO,
    ),
    takes_image=True,
    needs_image=True,
    fixed_size=True,  # its positions were learned for this size and length alone
    min_frames=49,
    continued_from=1,
)

COGVIDEOX_1_5_5B = replace(
    COGVIDEOX_5B,
    checkpoint=replace(
        COGVIDEOX_5B.checkpoint,
        variant="1.5-5b",
        folder="cogvideox-1.5-5b",
        repository="zai-org/CogVideoX1.5-5B",
        revision="fdc5267c90b5c06492985b966e43aae984e189e0",
        listed_by=("pantheongpu/pantheonworkloads",),
        components=_1_5_COMPONENTS,
    ),
    continued_by="1.5-5b-i2v",
    denoise_bytes=94,
    figures=(replace(_FIGURE, seconds=550, width=1360, height=768, num_frames=81),),
    max_area=1360 * 768,
    min_side=768,
    max_side=1360,
    frame_step=16,
    min_frames=17,
    max_frames=161,
    default_width=1360,
    default_height=768,
    default_frames=81,
    fps=16,
)

COGVIDEOX_1_5_5B_I2V = replace(
    COGVIDEOX_1_5_5B,
    checkpoint=replace(
        COGVIDEOX_1_5_5B.checkpoint,
        variant="1.5-5b-i2v",
        folder="cogvideox-1.5-5b-i2v",
        repository="zai-org/CogVideoX1.5-5B-I2V",
        revision="46c90528707aebbe69066390b4fe7e7d24c9c2a4",
        listed_by=(),
        pipeline=_IMAGE_TO_VIDEO,
    ),
    takes_image=True,
    needs_image=True,
    continued_from=1,
)

VARIANTS = (COGVIDEOX, COGVIDEOX_5B, COGVIDEOX_5B_I2V, COGVIDEOX_1_5_5B, COGVIDEOX_1_5_5B_I2V)
