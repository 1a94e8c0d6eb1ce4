"""The CogVideoX family: CogVideoX-2B, and `sketch`, the small model of the same architecture that ships here.

Sizes, lengths and defaults of CogVideoX-2B: its model card (720x480, 49 frames at 8 fps, 50 steps, guidance 6).
"""

from videoworker.models.declaration import Model

SKETCH = Model(
    name="sketch",
    folder="sketch",
    repository="sketch",
    licence="Apache-2.0",
    runner="cogvideox",
    grid=32,
    max_area=128 * 128,
    min_side=96,
    max_side=160,
    frame_step=4,
    min_frames=25,
    max_frames=25,
    default_width=256,
    default_height=256,
    default_frames=25,
    fps=12,
    default_steps=20,
    default_guidance_scale=6.0,
    takes_image=True,
    continued_from=5,
    needs_gpu=False,
)

COGVIDEOX = Model(
    name="cogvideox",
    folder="cogvideox",
    repository="zai-org/CogVideoX-2b",
    licence="Apache-2.0",
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
)
