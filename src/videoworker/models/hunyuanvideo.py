"""HunyuanVideo and HunyuanVideo-1.5. Limits from their model cards; bytes: the published configurations' parameters."""

from dataclasses import replace

from videoworker.models.declaration import Component, Model

_TERRITORY = "The weights are licensed outside the European Union, the United Kingdom and South Korea only."

HUNYUANVIDEO = Model(
    name="hunyuanvideo",
    variant="t2v",
    folder="hunyuanvideo",
    repository="hunyuanvideo-community/HunyuanVideo",
    revision="e8c2aaa66fe3742a32c11a6766aecbf07c56e773",
    licence="tencent-hunyuan-community",
    territory=_TERRITORY,
    pipeline="HunyuanVideoPipeline",
    components=(
        Component("text_encoder", "float16", 15_010_373_632),
        Component("text_encoder_2", "float16", 246_120_960),
        Component("transformer", "bfloat16", 25_642_025_088),
        Component("vae", "float32", 985_915_212),
    ),
    runner="hunyuanvideo",
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
    decode_bytes=3_150,
    published_step_seconds=38.1,  # its README: 1904 s for 50 steps
    continued_by="i2v",
    takes_flow_shift=True,
    takes_embedded_guidance=True,
)

# The image replaces the first latent frame.
HUNYUANVIDEO_I2V = replace(
    HUNYUANVIDEO,
    variant="i2v",
    folder="hunyuanvideo-i2v",
    repository="hunyuanvideo-community/HunyuanVideo-I2V",
    revision=None,
    pipeline="HunyuanVideoImageToVideoPipeline",
    components=(
        Component("text_encoder", "float16", 16_710_545_408),
        Component("text_encoder_2", "float16", 246_120_960),
        Component("transformer", "bfloat16", 25_642_025_088),
        Component("vae", "float32", 985_915_212),
    ),
    takes_image=True,
    needs_image=True,
    continued_from=1,
)

# The image's latents and a mask are 17 more channels; the first four of 129 frames are thrown away.
HUNYUANVIDEO_I2V_33CH = replace(
    HUNYUANVIDEO_I2V,
    variant="i2v-33ch",
    folder="hunyuanvideo-i2v-33ch",
    repository="hunyuanvideo-community/HunyuanVideo-I2V-33ch",
    revision=None,
    max_frames=125,
    default_frames=125,
    continued_from=0,  # its clips begin four frames after the picture
    continued_by="",
    takes_embedded_guidance=False,
)

HUNYUANVIDEO_VARIANTS = (HUNYUANVIDEO, HUNYUANVIDEO_I2V, HUNYUANVIDEO_I2V_33CH)

_TEXT_COMPONENTS = (
    Component("text_encoder", "bfloat16", 14_141_238_272),
    Component("text_encoder_2", "bfloat16", 438_629_888),
    Component("transformer", "bfloat16", 16_653_216_320),
    Component("vae", "bfloat16", 2_521_268_230),
)
_IMAGE_COMPONENTS = (*_TEXT_COMPONENTS, Component("image_encoder", "bfloat16", 856_451_200))
_1_5 = "hunyuanvideo-community/HunyuanVideo-1.5-Diffusers-"

HUNYUANVIDEO_1_5 = Model(
    name="hunyuanvideo-1.5",
    variant="720p-t2v",
    folder="hunyuanvideo-1.5",
    repository=f"{_1_5}720p_t2v",
    revision="f4dbc4a1efa4ac8ea56680cdf79d9f455105e814",
    licence="tencent-hunyuan-community",
    territory=_TERRITORY,
    pipeline="HunyuanVideo15Pipeline",
    components=_TEXT_COMPONENTS,
    runner="hunyuanvideo-1.5",
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
    continued_by="720p-i2v",
    takes_flow_shift=True,
)

HUNYUANVIDEO_1_5_720P_I2V = replace(
    HUNYUANVIDEO_1_5,
    variant="720p-i2v",
    folder="hunyuanvideo-1.5-720p-i2v",
    repository=f"{_1_5}720p_i2v",
    revision=None,
    pipeline="HunyuanVideo15ImageToVideoPipeline",
    components=_IMAGE_COMPONENTS,
    takes_image=True,
    needs_image=True,
    continued_from=1,
)

HUNYUANVIDEO_1_5_720P_I2V_DISTILLED = replace(
    HUNYUANVIDEO_1_5_720P_I2V,
    variant="720p-i2v-distilled",
    folder="hunyuanvideo-1.5-720p-i2v-distilled",
    repository=f"{_1_5}720p_i2v_distilled",
    revision=None,
    default_guidance_scale=1.0,
)

HUNYUANVIDEO_1_5_480P_T2V = replace(
    HUNYUANVIDEO_1_5,
    variant="480p-t2v",
    folder="hunyuanvideo-1.5-480p-t2v",
    repository=f"{_1_5}480p_t2v",
    revision="286be7ce72277246578a3e3cc2487e95ddae5bcf",
    max_area=640 * 640,
    max_side=960,
    continued_by="480p-i2v",
    default_width=848,
    default_height=480,
)

HUNYUANVIDEO_1_5_480P_T2V_DISTILLED = replace(
    HUNYUANVIDEO_1_5_480P_T2V,
    variant="480p-t2v-distilled",
    folder="hunyuanvideo-1.5-480p-t2v-distilled",
    repository=f"{_1_5}480p_t2v_distilled",
    revision="1abb14f06518f37448dcf3a6917dd086dd7045c7",
    continued_by="480p-i2v-distilled",
    default_guidance_scale=1.0,
)

HUNYUANVIDEO_1_5_480P_I2V = replace(
    HUNYUANVIDEO_1_5_480P_T2V,
    variant="480p-i2v",
    folder="hunyuanvideo-1.5-480p-i2v",
    repository=f"{_1_5}480p_i2v",
    revision="5a700ee883ff4c1b3d887ec4188755a7a5e2f698",
    pipeline="HunyuanVideo15ImageToVideoPipeline",
    components=_IMAGE_COMPONENTS,
    takes_image=True,
    needs_image=True,
    continued_from=1,
)

HUNYUANVIDEO_1_5_480P_I2V_DISTILLED = replace(
    HUNYUANVIDEO_1_5_480P_I2V,
    variant="480p-i2v-distilled",
    folder="hunyuanvideo-1.5-480p-i2v-distilled",
    repository=f"{_1_5}480p_i2v_distilled",
    revision=None,
    default_guidance_scale=1.0,
)

HUNYUANVIDEO_1_5_480P_I2V_STEP_DISTILLED = replace(
    HUNYUANVIDEO_1_5_480P_I2V_DISTILLED,
    variant="480p-i2v-step-distilled",
    folder="hunyuanvideo-1.5-480p-i2v-step-distilled",
    repository=f"{_1_5}480p_i2v_step_distilled",
    revision="854c04a4c8a53d990b418c7478f0802c0fc8c726",
    default_steps=8,
)

HUNYUANVIDEO_1_5_VARIANTS = (
    HUNYUANVIDEO_1_5,
    HUNYUANVIDEO_1_5_720P_I2V,
    HUNYUANVIDEO_1_5_720P_I2V_DISTILLED,
    HUNYUANVIDEO_1_5_480P_T2V,
    HUNYUANVIDEO_1_5_480P_T2V_DISTILLED,
    HUNYUANVIDEO_1_5_480P_I2V,
    HUNYUANVIDEO_1_5_480P_I2V_DISTILLED,
    HUNYUANVIDEO_1_5_480P_I2V_STEP_DISTILLED,
)
