"""HunyuanVideo. Limits come from its model cards, bytes from the parameters of the published configurations.

dtypes are the defaults of the authors' own program: Tencent-Hunyuan/HunyuanVideo, hyvideo/config.py, `--precision`,
`--vae-precision` and `--text-encoder-precision`. diffusers' documentation of the pipeline has the same.
"""

from dataclasses import replace

from videoworker.models.checkpoint import Checkpoint, Component, PublishedFiles, Role
from videoworker.models.video_model import Figure, Flops, VideoModel

_FIGURE = Figure(1904, "an H100", "its authors' program", "Tencent-Hunyuan/HunyuanVideo", 1280, 720, 129, 50, passes=1)
_TEXT_ENCODER = Component(
    "text_encoder",
    Role.TEXT_ENCODER,
    "float16",
    15_010_373_632,
    dtype="float16",
    published=(PublishedFiles("float16", 4),),
)
_OTHER_COMPONENTS = (
    Component(
        "text_encoder_2",
        Role.TEXT_ENCODER,
        "float16",
        246_120_960,
        dtype="float16",
        published=(PublishedFiles("float16"),),
    ),
    Component("transformer", Role.DENOISER, "bfloat16", 25_642_025_088, published=(PublishedFiles("bfloat16", 6),)),
    Component(
        "vae",
        Role.AUTOENCODER,
        "float16",
        492_957_606,
        dtype="float16",
        published=(PublishedFiles("float32"),),
    ),
)

HUNYUANVIDEO = VideoModel(
    checkpoint=Checkpoint(
        model="hunyuanvideo",
        variant="t2v",
        folder="hunyuanvideo",
        repository="hunyuanvideo-community/HunyuanVideo",
        revision="e8c2aaa66fe3742a32c11a6766aecbf07c56e773",
        listed_by=("pantheongpu/pantheonworkloads", "sdevil7th/MoDiff"),
        licence="tencent-hunyuan-community",
        territory="The weights are licensed outside the European Union, the United Kingdom and South Korea only.",
        pipeline="HunyuanVideoPipeline",
        components=(
            _TEXT_ENCODER,
            *_OTHER_COMPONENTS,
        ),
    ),
    family="hunyuanvideo",
    rank=20,
    grid=16,
    max_area=1280 * 720,
    min_side=256,
    max_side=1280,
    frame_step=4,
    min_frames=5,
    max_frames=129,
    default_width=1280,
    default_height=720,
    default_frames=129,
    fps=24,
    default_steps=50,
    default_guidance_scale=1.0,
    denoise_bytes=102,  # bench/results/activations.md
    decode_bytes=2_600,
    decode_picture_bytes=25_500,
    figures=(_FIGURE,),
    # 60 blocks of 3072 channels: 12 multiplications of their square, and of attention two for each pair and channel.
    # Those of decoding were counted at 512x320, tiles' overlaps included.
    flops=Flops(token=60 * 24 * 3072**2, pair=60 * 4 * 3072, pixel=3.5e7),
    continued_by="i2v",
    takes_flow_shift=True,
    takes_embedded_guidance=True,
)

# The image replaces the first latent frame.
HUNYUANVIDEO_I2V = replace(
    HUNYUANVIDEO,
    checkpoint=replace(
        HUNYUANVIDEO.checkpoint,
        variant="i2v",
        folder="hunyuanvideo-i2v",
        repository="hunyuanvideo-community/HunyuanVideo-I2V",
        revision=None,
        listed_by=(),
        pipeline="HunyuanVideoImageToVideoPipeline",
        components=(
            replace(_TEXT_ENCODER, size=16_710_545_408),
            *_OTHER_COMPONENTS,
        ),
    ),
    takes_image=True,
    needs_image=True,
    continued_from=1,
)

# The image's latents and a mask are 17 more channels. The first four of 129 frames are dropped.
HUNYUANVIDEO_I2V_33CH = replace(
    HUNYUANVIDEO_I2V,
    checkpoint=replace(
        HUNYUANVIDEO_I2V.checkpoint,
        variant="i2v-33ch",
        folder="hunyuanvideo-i2v-33ch",
        repository="hunyuanvideo-community/HunyuanVideo-I2V-33ch",
    ),
    max_frames=125,
    default_frames=125,
    continued_from=0,  # its clips begin four frames after the picture
    continued_by="",
    takes_embedded_guidance=False,
)

VARIANTS = (HUNYUANVIDEO, HUNYUANVIDEO_I2V, HUNYUANVIDEO_I2V_33CH)
