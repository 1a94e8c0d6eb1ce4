"""HunyuanVideo-1.5. Limits come from its model cards, bytes from the parameters of the published configurations.

The transformer runs in bfloat16, as in the authors' own program (Tencent-Hunyuan/HunyuanVideo-1.5, generate.py,
`--dtype`). That runs the autoencoder in float32 if a card has 23 GB or more, and in float16 on smaller ones. Here it is
bfloat16 on all: float32 would take twice the memory, and float16 has a narrower range.
"""

from dataclasses import replace

from videoworker.models.checkpoint import Checkpoint, Component, PublishedFiles, Role
from videoworker.models.upscaler import Upscaler
from videoworker.models.video_model import Figure, Flops, VideoModel

_FIGURE = Figure(1135.7, "an H200", "diffusers", "vllm-project/vllm-omni#1516", 832, 480, 121, 50, passes=2)
_SHORT = replace(_FIGURE, seconds=87.0, num_frames=33, steps=30)
_FIGURES = (
    _FIGURE,
    replace(_FIGURE, seconds=259.4, program="vLLM-Omni"),
    _SHORT,
    replace(_SHORT, seconds=29.9, program="vLLM-Omni"),
)
# At most, with 8 to 12 steps. That of the most steps is the least for one step.
_STEP_DISTILLED_FIGURE = Figure(
    75, "an RTX 4090", "its authors' program", "Tencent-Hunyuan/HunyuanVideo-1.5", 848, 480, 121, 12, passes=1
)
_TEXT_TO_VIDEO, _IMAGE_TO_VIDEO = "HunyuanVideo15Pipeline", "HunyuanVideo15ImageToVideoPipeline"

_TEXT_ENCODER = Component(
    "text_encoder", Role.TEXT_ENCODER, "bfloat16", 14_141_238_272, published=(PublishedFiles("bfloat16", 3),)
)
_TEXT_ENCODER_2 = Component(
    "text_encoder_2", Role.TEXT_ENCODER, "bfloat16", 438_629_888, published=(PublishedFiles("float32"),)
)
_TRANSFORMER = Component(
    "transformer", Role.DENOISER, "bfloat16", 16_653_216_320, published=(PublishedFiles("float32", 7),)
)
_AUTOENCODER = Component("vae", Role.AUTOENCODER, "bfloat16", 2_521_268_230, published=(PublishedFiles("float32", 2),))
_IMAGE_ENCODER = Component(
    "image_encoder", Role.IMAGE_ENCODER, "bfloat16", 856_451_200, published=(PublishedFiles("bfloat16"),)
)
_TEXT_COMPONENTS = (_TEXT_ENCODER, _TEXT_ENCODER_2, _TRANSFORMER, _AUTOENCODER)
_IMAGE_COMPONENTS = (*_TEXT_COMPONENTS, _IMAGE_ENCODER)
# The one of eight steps is published in bfloat16.
_STEP_DISTILLED_COMPONENTS = (
    _TEXT_ENCODER,
    replace(_TEXT_ENCODER_2, published=(PublishedFiles("bfloat16"),)),
    replace(_TRANSFORMER, published=(PublishedFiles("bfloat16", 2),)),
    replace(_AUTOENCODER, published=(PublishedFiles("bfloat16"),)),
    _IMAGE_ENCODER,
)

_LICENCE = "tencent-hunyuan-community"
_TERRITORY = "The weights are licensed outside the European Union, the United Kingdom and South Korea only."


def _checkpoint(variant: str, revision: str | None, listed_by: str = "") -> Checkpoint:
    """The hub has a repository for each variant. Their names are built alike."""
    needs_image = "i2v" in variant
    return Checkpoint(
        model="hunyuanvideo-1.5",
        variant=variant,
        folder="hunyuanvideo-1.5" if variant == "720p-t2v" else f"hunyuanvideo-1.5-{variant}",
        repository=f"hunyuanvideo-community/HunyuanVideo-1.5-Diffusers-{variant.replace('-', '_')}",
        revision=revision,
        listed_by=(listed_by,) if listed_by else (),
        licence=_LICENCE,
        territory=_TERRITORY,
        pipeline=_IMAGE_TO_VIDEO if needs_image else _TEXT_TO_VIDEO,
        components=_IMAGE_COMPONENTS if needs_image else _TEXT_COMPONENTS,
    )


def _upscaler(lines: str, upsampler_bytes: int, base_side: int, steps: int) -> Upscaler:
    """The authors' super-resolution, which lies in their own repository, in their own layout.

    Facts are those of Tencent-Hunyuan/HunyuanVideo-1.5 at 60783e7. Folders: `load_sr_transformer_upsampler` in
    hyvideo/pipelines/hunyuan_video_pipeline.py. Steps and shift: `SR_PIPELINE_CONFIGS` in hyvideo/commons/__init__.py.
    Sizes: `SizeMap` in hyvideo/pipelines/hunyuan_video_sr_pipeline.py. The transformer is float32 in one file, and runs
    in bfloat16. Beside the variants' own it has 33 more input channels and the embedding of a second timestep. The
    upsampler is float32 and runs so.

    Nobody lists the numbers of the upsamplers' channels. The bytes follow from those that agree with public lists of
    files: 0.09 GB with 100 tensors (128 channels in 16 blocks), and 0.20 GB with a projection (256, then 512 channels).
    """
    variant = f"{lines}-sr"
    return Upscaler(
        checkpoint=Checkpoint(
            model="hunyuanvideo-1.5",
            variant=variant,
            folder=f"hunyuanvideo-1.5-{variant}",
            repository="tencent/HunyuanVideo-1.5",
            revision="9b49404b3f5df2a8f0b31df27a0c7ab872e7b038",
            licence=_LICENCE,
            territory=_TERRITORY,
            pipeline="",
            components=(
                Component(
                    "sr_transformer",
                    Role.DENOISER,
                    "bfloat16",
                    16_662_796_864,
                    published=(PublishedFiles("float32"),),
                    path=f"transformer/{lines}_sr_distilled",
                ),
                Component(
                    "upsampler",
                    Role.UPSAMPLER,
                    "float32",
                    upsampler_bytes,
                    dtype="float32",
                    published=(PublishedFiles("float32"),),
                    path=f"upsampler/{lines}_sr_distilled",
                ),
            ),
        ),
        grid=16,
        max_area=base_side**2,
        steps=steps,
        flow_shift=2.0,
    )


SR_720P = _upscaler("720p", 85_844_608, base_side=960, steps=6)
SR_1080P = _upscaler("1080p", 201_400_448, base_side=1440, steps=8)

HUNYUANVIDEO_1_5 = VideoModel(
    checkpoint=_checkpoint("720p-t2v", "f4dbc4a1efa4ac8ea56680cdf79d9f455105e814", "pantheongpu/pantheonworkloads"),
    family="hunyuanvideo_1_5",
    rank=10,
    grid=16,
    max_area=1280 * 720,
    min_side=256,
    max_side=1280,
    frame_step=4,
    min_frames=5,
    max_frames=121,
    default_width=1280,
    default_height=720,
    default_frames=121,
    fps=24,
    default_steps=50,
    default_guidance_scale=6.0,
    denoise_bytes=52,  # bench/results/activations.md
    decode_bytes=12_700,
    decode_latent_bytes=3_300,
    continued_by="720p-i2v",
    upscaler=SR_1080P,
    takes_flow_shift=True,
    figures=_FIGURES,
    # 54 blocks of 2048 channels: 12 multiplications of their square, and of attention two for each pair and channel.
    # Those of decoding were counted at 480x368.
    flops=Flops(token=54 * 24 * 2048**2, pair=54 * 4 * 2048, pixel=2.5e7),
)

HUNYUANVIDEO_1_5_720P_I2V = replace(
    HUNYUANVIDEO_1_5,
    checkpoint=_checkpoint("720p-i2v", None),
    takes_image=True,
    needs_image=True,
    continued_from=1,
)

HUNYUANVIDEO_1_5_720P_I2V_DISTILLED = replace(
    HUNYUANVIDEO_1_5_720P_I2V,
    checkpoint=_checkpoint("720p-i2v-distilled", None),
    default_guidance_scale=1.0,
)

HUNYUANVIDEO_1_5_480P_T2V = replace(
    HUNYUANVIDEO_1_5,
    checkpoint=_checkpoint("480p-t2v", "286be7ce72277246578a3e3cc2487e95ddae5bcf", "sdevil7th/MoDiff"),
    max_area=640 * 640,
    max_side=960,
    continued_by="480p-i2v",
    upscaler=SR_720P,
    default_width=848,
    default_height=480,
)

HUNYUANVIDEO_1_5_480P_T2V_DISTILLED = replace(
    HUNYUANVIDEO_1_5_480P_T2V,
    checkpoint=_checkpoint("480p-t2v-distilled", "1abb14f06518f37448dcf3a6917dd086dd7045c7"),
    continued_by="480p-i2v-distilled",
    default_guidance_scale=1.0,
)

HUNYUANVIDEO_1_5_480P_I2V = replace(
    HUNYUANVIDEO_1_5_480P_T2V,
    checkpoint=_checkpoint("480p-i2v", "5a700ee883ff4c1b3d887ec4188755a7a5e2f698"),
    takes_image=True,
    needs_image=True,
    continued_from=1,
)

HUNYUANVIDEO_1_5_480P_I2V_DISTILLED = replace(
    HUNYUANVIDEO_1_5_480P_I2V,
    checkpoint=_checkpoint("480p-i2v-distilled", None),
    default_guidance_scale=1.0,
)

HUNYUANVIDEO_1_5_480P_I2V_STEP_DISTILLED = replace(
    HUNYUANVIDEO_1_5_480P_I2V_DISTILLED,
    checkpoint=replace(
        _checkpoint("480p-i2v-step-distilled", "854c04a4c8a53d990b418c7478f0802c0fc8c726", "sdevil7th/MoDiff"),
        components=_STEP_DISTILLED_COMPONENTS,
    ),
    default_steps=8,
    figures=(_STEP_DISTILLED_FIGURE, *_FIGURES),
    step_distilled=True,
)

VARIANTS = (
    HUNYUANVIDEO_1_5,
    HUNYUANVIDEO_1_5_720P_I2V,
    HUNYUANVIDEO_1_5_720P_I2V_DISTILLED,
    HUNYUANVIDEO_1_5_480P_T2V,
    HUNYUANVIDEO_1_5_480P_T2V_DISTILLED,
    HUNYUANVIDEO_1_5_480P_I2V,
    HUNYUANVIDEO_1_5_480P_I2V_DISTILLED,
    HUNYUANVIDEO_1_5_480P_I2V_STEP_DISTILLED,
)
