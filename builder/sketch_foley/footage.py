"""Videos that `sketch-foley` learns from: drawn scenes, as clean as drawings or as worn as a small model's clips."""

import random
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from builder.sketch.scenes import COLOURS, TRAINED, draw_centred_scene, draw_scene, signed_distances
from builder.sketch_foley.scores import Take

Combination = tuple[str, str, str, str]

# `sketch` makes 12 frames a second of these sides.
_ASPECTS = (1.0, 1.0, 1.0, 320 / 192, 192 / 320, 288 / 224, 224 / 288, 16 / 9)
_FPS = (12, 12, 12, 12, 12, 12, 8, 10, 16, 24, 25, 30)
_SHORTER_SIDES = (64, 96, 128)
_BY_MOTION = {motion: [one for one in TRAINED if one[3] == motion] for motion in sorted({one[3] for one in TRAINED})}
_MORE_OFTEN = ("bouncing", "bouncing", "up", "down", "spinning")


@dataclass(frozen=True)
class Wear:
    """What a video is worn by: `raggedness` of outlines in units of the shorter side, `softness` of them in pixels,
    `grain` and `shift` of colours in levels of 255."""

    raggedness: float = 0.0
    softness: float = 1.0
    grain: float = 0.0
    shift: float = 0.0


def random_take(rng: random.Random, seconds: float) -> Take:
    """A scene that is trained on, about so long."""
    motion = rng.choice([*_BY_MOTION, *_MORE_OFTEN])
    combination = rng.choice(_BY_MOTION[motion])
    return take_of(rng, combination, rng.choice(_FPS), seconds)


def take_of(rng: random.Random, combination: Combination, fps: int, seconds: float) -> Take:
    """Mostly as `sketch` draws it: in the middle and from its beginning."""
    num_frames = max(round(seconds * fps), 1)
    aspect = rng.choice(_ASPECTS)
    if rng.random() < 0.6:
        return Take(
            draw_centred_scene(rng, combination, aspect), fps, num_frames, rng.choice((0, 0, 0, rng.randrange(60)))
        )
    return Take(draw_scene(rng, combination, aspect), fps, num_frames, rng.choice((0, rng.randrange(60))))


def random_wear(rng: random.Random) -> Wear:
    if rng.random() < 0.25:
        return Wear()
    return Wear(rng.uniform(0, 0.03), rng.uniform(1, 3), rng.uniform(0, 6), rng.uniform(0, 20))


def pictures(take: Take, numbers: list[int], wear: Wear, rng: random.Random) -> NDArray[np.uint8]:
    """The frames of these numbers [len(numbers), height, width, 3]."""
    return drawn(take, numbers, wear, rng)[0]


def drawn(take: Take, numbers: list[int], wear: Wear, rng: random.Random) -> tuple[NDArray[np.uint8], torch.Tensor]:
    """As `pictures`, with how much of each pixel the shape covers [len(numbers), height, width]."""
    scene, shorter = take.scene, rng.choice(_SHORTER_SIDES)
    width, height = round(scene.width * shorter), round(scene.height * shorter)
    generator = torch.Generator().manual_seed(rng.getrandbits(32))
    frames = torch.tensor(numbers, dtype=torch.float32) + take.first_frame
    outside = signed_distances(scene, width, height, frames)
    if wear.raggedness:
        outside = outside + wear.raggedness * _rough(len(numbers), height, width, generator)
    cover = (0.5 - outside * shorter / wear.softness).clamp(0, 1)
    shape, ground = (
        torch.tensor(COLOURS[name]) + wear.shift * (torch.rand(3, generator=generator) * 2 - 1)
        for name in (scene.colour, scene.background)
    )
    levels = cover[..., None] * shape + (1 - cover[..., None]) * ground
    if wear.grain:
        levels = levels + wear.grain * torch.randn(levels.shape, generator=generator)
    worn: NDArray[np.uint8] = levels.round().clamp(0, 255).byte().numpy()
    return worn, cover


def _rough(count: int, height: int, width: int, generator: torch.Generator) -> torch.Tensor:
    """A field that varies smoothly over time and picture [count, height, width]."""
    cells = torch.randn(1, 1, count // 3 + 2, 7, 7, generator=generator)
    return functional.interpolate(cells, (count, height, width), mode="trilinear", align_corners=True)[0, 0]
