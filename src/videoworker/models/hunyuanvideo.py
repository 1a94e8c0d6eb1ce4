"""HunyuanVideo and HunyuanVideo-1.5. Limits from their model cards; this version has no sampler for them yet."""

from videoworker.models.declaration import Model

_TERRITORY = "The weights are licensed outside the European Union, the United Kingdom and South Korea only."

HUNYUANVIDEO = Model(
    name="hunyuanvideo",
    folder="hunyuanvideo",
    repository="hunyuanvideo-community/HunyuanVideo",
    licence="tencent-hunyuan-community",
    runner=None,
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
    takes_flow_shift=True,
    takes_embedded_guidance=True,
    notes=(_TERRITORY,),
)

HUNYUANVIDEO_1_5 = Model(
    name="hunyuanvideo-1.5",
    folder="hunyuanvideo-1.5",
    repository="hunyuanvideo-community/HunyuanVideo-1.5-Diffusers-720p_t2v",
    licence="tencent-hunyuan-community",
    runner=None,
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
    takes_flow_shift=True,
    notes=(_TERRITORY,),
)
