"""What a scene sounds like: its picture read as a score.

How high the shape stands is how high the tone is, how large it is how loud, and each corner that a turning shape moves
past its place is two beats. A bouncing shape has no tone, and a hit whenever it hits the ground.
"""

import math
from dataclasses import dataclass

import torch

from builder.sketch.scenes import (
    BOUNCE_FRAMES,
    CORNERS,
    LARGEST_RADIUS,
    SIZE,
    SMALLEST_RADIUS,
    UPRIGHT,
    Scene,
    states,
)
from builder.sketch_foley.sounds import HOP, NUM_PITCHES, RATE, Score

BEATS_OF_CORNER = 2
_QUIETEST = -20.0  # dB, of the smallest shape
_BETWEEN_BEATS = 0.1
_SEEN = 0.1  # seconds that must be seen before and after a bounce


@dataclass(frozen=True)
class Take:
    """Part of a scene as a video: `num_frames` at `fps`, from `first_frame` on."""

    scene: Scene
    fps: float
    num_frames: int
    first_frame: int = 0

    @property
    def seconds(self) -> float:
        return self.num_frames / self.fps

    @property
    def num_hops(self) -> int:
        return math.ceil(round(self.seconds * RATE / HOP, 6))


def score(take: Take) -> Score:
    """The score of a take."""
    scene = take.scene
    moments = (torch.arange(take.num_hops) + 0.5) * HOP / RATE
    heights, radii, turns = seen_at(take, moments)
    pitches = (heights * (NUM_PITCHES - 1)).round().long()
    share = (radii - SMALLEST_RADIUS) / (LARGEST_RADIUS - SMALLEST_RADIUS)
    levels = 10 ** (_QUIETEST * (1 - share.clamp(0, 1)) / 20)
    beats = 0.5 + 0.5 * (BEATS_OF_CORNER * turns).cos()
    levels = levels * (_BETWEEN_BEATS + (1 - _BETWEEN_BEATS) * beats)
    if scene.motion != "bouncing":
        return Score(pitches, levels)
    hits = tuple(min(round(moment * RATE / HOP), take.num_hops - 1) for moment in bounces(take))
    return Score(pitches, torch.zeros_like(levels), hits)


def seen_at(take: Take, moments: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """At each of `moments` in seconds: the height from 0 to 1, the radius, and how far the shape has turned, as an
    angle that is full when the next corner has come."""
    scene = take.scene
    frames = moments * take.fps + take.first_frame
    _, y, outer, angle = states(scene, frames)
    heights = 1 - (y / scene.height) % 1
    turned = (angle - UPRIGHT[scene.shape]) * CORNERS.get(scene.shape, 0)
    return heights, outer / SIZE[scene.shape], turned


def bounces(take: Take, margin: float = _SEEN) -> list[float]:
    """The moments, in seconds, at which the shape hits the ground, at least `margin` from both ends. Nearer to an end a
    bounce cannot be seen as one."""
    scene = take.scene
    if scene.motion != "bouncing":
        return []
    first = (take.first_frame / BOUNCE_FRAMES + scene.phase) * BOUNCE_FRAMES  # frames since one hit the ground
    numbers = range(math.ceil(first / BOUNCE_FRAMES), math.floor((first + take.num_frames) / BOUNCE_FRAMES) + 1)
    moments = [(number * BOUNCE_FRAMES - first) / take.fps for number in numbers]
    return [moment for moment in moments if margin <= moment <= take.seconds - margin]
