"""The CogVideoX family, and `sketch`, the small model of the same architecture that ships here.

Sizes, lengths and defaults: the model cards (CogVideoX: 720x480, 49 frames at 8 fps; CogVideoX1.5: short side 768, long
side up to 1360, 81 frames at 16 fps; 50 steps, guidance 6). Bytes: the published configurations' parameters.
"""

from dataclasses import replace

from videoworker.models.declaration import Component, Model

SKETCH = Model(
    name="sketch",
    folder="sketch",
    repository="",
    licence="Apache-2.0",
    pipeline="CogVideoXPipeline",
    components=(
        Component("text_encoder", "bfloat16", 1_056_000),
        Component("transformer", "bfloat16", 19_696_000),
        Component("vae", "bfloat16", 5_322_000),
    ),
    runner="cogvideox",
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
    decode_bytes=21_000,
    takes_image=True,
    continued_from=5,
    needs_gpu=False,
)

COGVIDEOX = Model(
    name="cogvideox",
    variant="2b",
    folder="cogvideox",
    repository="zai-org/CogVideoX-2b",
    revision="1137dacfc2c9c012bed6a0793f4ecf2ca8e7ba01",
    licence="Apache-2.0",
    pipeline="CogVideoXPipeline",
    components=(
        Component("text_encoder", "float16", 9_524_621_312),
        Component("transformer", "float16", 3_387_567_744),
        Component("vae", "float16", 431_167_814),
    ),
    runner="cogvideox",
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
    decode_bytes=21_000,
    continued_by="5b-i2v",
    published_step_seconds=0.9,  # its README, as all of the family: 45 s for 50 steps
)

COGVIDEOX_5B = replace(
    COGVIDEOX,
    variant="5b",
    folder="cogvideox-5b",
    repository="zai-org/CogVideoX-5b",
    revision="8fc5b281006c82b82d34fd2543d2f0ebb4e7e321",
    licence="CogVideoX",
    denoise_bytes=185,
    published_step_seconds=1.8,
    conditions="Commercial use of the weights needs a registration under the CogVideoX licence.",
    components=(
        Component("text_encoder", "bfloat16", 9_524_621_312),
        Component("transformer", "bfloat16", 11_140_000_000),
        Component("vae", "bfloat16", 431_167_814),
    ),
)

COGVIDEOX_5B_I2V = replace(
    COGVIDEOX_5B,
    variant="5b-i2v",
    folder="cogvideox-5b-i2v",
    repository="zai-org/CogVideoX-5b-I2V",
    revision="a6f0f4858a8395e7429d82493864ce92bf73af11",
    pipeline="CogVideoXImageToVideoPipeline",
    takes_image=True,
    needs_image=True,
    fixed_size=True,  # its positions are learned for this one size and length
    min_frames=49,
    continued_from=1,
)

COGVIDEOX_1_5_5B = replace(
    COGVIDEOX_5B,
    variant="1.5-5b",
    folder="cogvideox-1.5-5b",
    continued_by="1.5-5b-i2v",
    repository="zai-org/CogVideoX1.5-5B",
    revision="fdc5267c90b5c06492985b966e43aae984e189e0",
    components=(
        Component("text_encoder", "bfloat16", 9_524_621_312),
        Component("transformer", "bfloat16", 11_140_000_000),
        Component("vae", "float32", 862_335_628),
    ),
    denoise_bytes=94,
    published_step_seconds=11.0,
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
    variant="1.5-5b-i2v",
    folder="cogvideox-1.5-5b-i2v",
    repository="zai-org/CogVideoX1.5-5B-I2V",
    revision="46c90528707aebbe69066390b4fe7e7d24c9c2a4",
    pipeline="CogVideoXImageToVideoPipeline",
    takes_image=True,
    needs_image=True,
    continued_from=1,
)

COGVIDEOX_VARIANTS = (COGVIDEOX, COGVIDEOX_5B, COGVIDEOX_5B_I2V, COGVIDEOX_1_5_5B, COGVIDEOX_1_5_5B_I2V)
