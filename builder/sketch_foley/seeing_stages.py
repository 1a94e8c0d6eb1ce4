"""Trains the encoders of pictures and of motion of `sketch-foley`: their features must tell what a scene's score is
made from. The heads that read it are thrown away afterwards.
"""

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from builder.sketch.checkpoints import Checkpoint
from builder.sketch.scenes import MOTIONS, SHAPES
from builder.sketch_foley.footage import drawn, random_take, random_wear
from builder.sketch_foley.learning import learn, optimizers, warm_then_cool
from builder.sketch_foley.networks import MOTION_PATCH, MOTION_SIDE, PICTURE_SIDE, SYNC_DIM, VISUAL_DIM
from builder.sketch_foley.scores import Take, bounces, seen_at
from videoworker.families.foley.features import cropped, squashed
from videoworker.families.foley.windows import SEGMENT_FRAMES, SYNC_FRAMES_PER_SECOND

_PICTURES, _NEW_SEGMENTS, _SEGMENTS, _POOL = 64, 6, 24, 1500
_RATE = 2e-3
_FEATURE_SECONDS = 2 / SYNC_FRAMES_PER_SECOND
_STATE, _MOTION, _MOTIONS = 8, 5, len(MOTIONS)  # numbers that `_state` and `_motion` tell, and motions


def _state(take: Take, moments: torch.Tensor) -> torch.Tensor:
    """What a picture tells at each of `moments` [n, 8]: height, size, angle."""
    heights, radii, turned = seen_at(take, moments)
    round_trip = 2 * math.pi * heights
    return torch.stack(
        [
            round_trip.sin(), round_trip.cos(), 2 * heights - 1, 8 * (radii - 0.2),
            turned.cos(), turned.sin(), (2 * turned).cos(), (2 * turned).sin(),
        ],
        -1,
    )  # fmt: skip


def _motion(take: Take, moments: torch.Tensor) -> torch.Tensor:
    """What only several pictures tell [n, 5]: how fast height and size change, and when a bounce is."""
    step = 0.01
    before, after = seen_at(take, moments - step), seen_at(take, moments + step)
    rising, swelling = ((after[index] - before[index]) / (2 * step) for index in (0, 1))
    nearest = torch.full_like(moments, 1.0)
    for bounce in bounces(take, margin=0.0):
        distance = bounce - moments
        nearest = torch.where(distance.abs() < nearest.abs(), distance, nearest)
    is_near = torch.exp(-((nearest / 0.05) ** 2) / 2)
    is_about = torch.exp(-((nearest / 0.2) ** 2) / 2)
    return torch.stack([rising.clamp(-2, 2), 5 * swelling, 3 * nearest.clamp(-0.3, 0.3), is_near, is_about], -1)


@dataclass(frozen=True)
class _Readings:
    """What is told by the features, and by the patches that the shape covers, in their mean. `covered` is how much of
    each patch is said to be."""

    of_features: torch.Tensor
    of_patches: torch.Tensor
    covered: torch.Tensor


class _Reader(nn.Module):
    """Reads a network's features and its patches. Where the shape is, patch by patch, is soon learnt, then what these
    patches know of it, and at last where the features must look."""

    def __init__(self, network: nn.Module, patches: nn.Module, width: int, outputs: int) -> None:
        super().__init__()
        self.of_features, self.of_patches = nn.Linear(width, outputs), nn.Linear(width, outputs)
        self.covered = nn.Linear(width, 1)
        self._network = [network]  # no part of this
        self._seen: list[torch.Tensor] = []
        patches.register_forward_hook(lambda _, __, output: self._seen.append(output))

    def forward(self, pixels: torch.Tensor, covered: torch.Tensor) -> _Readings:
        features = self._network[0](pixels)
        patches = self._seen.pop()
        shares = (covered + 1e-4) / (covered + 1e-4).sum(-1, keepdim=True)
        return _Readings(
            self.of_features(getattr(features, "pooler_output", features)),
            self.of_patches((shares[..., None] * patches).sum(-2)),
            self.covered(patches)[..., 0],
        )


def train_pictures(model: Any, folder: Path, steps: int, seed: int) -> Iterator[tuple[int, dict[str, float]]]:
    """Runs `steps` steps from where `folder` stands; yields (step, losses)."""
    head = _Reader(model, model.post_layernorm, VISUAL_DIM, _STATE + len(SHAPES))
    model.train()
    chosen = optimizers([model, head], _RATE)
    parts = {"model": model, "head": head, "muon": chosen[0], "adamw": chosen[1]}
    checkpoint = Checkpoint(folder / "image_encoder.pt", **parts)
    for step in range(checkpoint.restore(), steps):
        rng = random.Random(f"pictures/{seed}/{step}")
        seen, states, shapes, covers = [], [], [], []
        for _ in range(_PICTURES // 2):
            take, wear = random_take(rng, 10.0), random_wear(rng)
            numbers = [rng.randrange(take.num_frames), rng.randrange(take.num_frames)]
            frames, cover = drawn(take, numbers, wear, rng)
            seen += [squashed(frame, PICTURE_SIDE) for frame in frames]
            covers.append(F.adaptive_avg_pool2d(cover, model.config.image_size // model.config.patch_size).flatten(1))
            states.append(_state(take, torch.tensor(numbers) / take.fps))
            shapes += 2 * [SHAPES.index(take.scene.shape)]
        covered, state, shape = torch.cat(covers), torch.cat(states), torch.tensor(shapes)
        read = head(_pixels(np.stack(seen)), covered)
        where = (read.covered - covered).square().mean()
        wrong = [
            (told[:, :_STATE] - state).square().mean() + 0.1 * F.cross_entropy(told[:, _STATE:], shape)
            for told in (read.of_features, read.of_patches)
        ]
        learn(chosen, 3 * where + sum(wrong), _RATE * warm_then_cool(step, steps))
        told = read.of_features
        right = (told[:, _STATE:].argmax(1) == shape).float().mean()
        height = (told[:, 2] - state[:, 2]).abs().median() / 2
        error = (told[:, :_STATE] - state).square().mean()
        yield (
            step,
            {
                "where": where.item(),
                "state": error.item(),
                "patches": wrong[1].item(),
                "height": height.item(),
                "shape": right.item(),
            },
        )
        if (step + 1) % 100 == 0 or step + 1 == steps:
            checkpoint.save(step + 1)


@dataclass(frozen=True)
class _Segment:
    """Pixels [3, 16, side, side] in bytes, what its features should tell [8, 13], how much of its patches is covered
    [8, patches], and the number of the motion."""

    pixels: torch.Tensor
    told: torch.Tensor
    covered: torch.Tensor
    motion: int


def _segment(rng: random.Random) -> _Segment:
    take, wear = random_take(rng, 4.0), random_wear(rng)
    begin = rng.uniform(0, take.seconds - SEGMENT_FRAMES / SYNC_FRAMES_PER_SECOND)
    moments = [begin + tick / SYNC_FRAMES_PER_SECOND for tick in range(SEGMENT_FRAMES)]
    numbers = [min(math.ceil(moment * take.fps), take.num_frames - 1) for moment in moments]
    distinct = sorted(set(numbers))
    frames, covers = drawn(take, distinct, wear, rng)
    squares = {number: cropped(frame, MOTION_SIDE) for number, frame in zip(distinct, frames, strict=True)}
    grid = dict(zip(distinct, _grid(covers), strict=True))
    covered = torch.stack([grid[number] for number in numbers]).unflatten(0, (-1, 2)).mean(1)
    told = begin + (torch.arange(SEGMENT_FRAMES // 2) + 0.25) * _FEATURE_SECONDS
    pixels = torch.from_numpy(np.stack([squares[number] for number in numbers])).permute(3, 0, 1, 2)
    told = torch.cat([_state(take, told), _motion(take, told)], -1)
    return _Segment(pixels, told, covered, MOTIONS.index(take.scene.motion))


def _grid(covers: torch.Tensor) -> torch.Tensor:
    """Of the middle square, patch by patch [n, patches]."""
    side = min(covers.shape[1:])
    top, left = ((length - side) // 2 for length in covers.shape[1:])
    middle = covers[:, top : top + side, left : left + side]
    return F.adaptive_avg_pool2d(middle, MOTION_SIDE // MOTION_PATCH).flatten(1)


def train_motion(model: Any, folder: Path, steps: int, seed: int) -> Iterator[tuple[int, dict[str, float]]]:
    """As `train_pictures`. Segments are drawn as training goes, and each is used a few times."""
    head = _Reader(model, model.norm, SYNC_DIM, _STATE + _MOTION + _MOTIONS)
    model.train()
    chosen = optimizers([model, head], _RATE)
    parts = {"model": model, "head": head, "muon": chosen[0], "adamw": chosen[1]}
    checkpoint = Checkpoint(folder / "synchformer.pt", **parts)
    pool: list[_Segment] = []
    for step in range(checkpoint.restore(), steps):
        rng = random.Random(f"motion/{seed}/{step}")
        pool += [_segment(rng) for _ in range(_NEW_SEGMENTS if pool else _SEGMENTS)]
        pool = pool[-_POOL:]
        segments = rng.sample(pool, _SEGMENTS)
        pixels = torch.stack([one.pixels for one in segments]).float() / 127.5 - 1
        covered = torch.stack([one.covered for one in segments])
        truth = torch.stack([one.told for one in segments])
        motions = torch.tensor([one.motion for one in segments])[:, None].expand(-1, truth.shape[1])
        read = head(pixels, covered)
        where = (read.covered - covered).square().mean()
        wrong = [
            (told[..., :-_MOTIONS] - truth).square().mean()
            + 0.1 * F.cross_entropy(told[..., -_MOTIONS:].flatten(0, 1), motions.flatten())
            for told in (read.of_features, read.of_patches)
        ]
        learn(chosen, 3 * where + sum(wrong), _RATE * warm_then_cool(step, steps))
        numbers, classes = read.of_features[..., :-_MOTIONS], read.of_features[..., -_MOTIONS:]
        errors = (numbers - truth).square().mean((0, 1))
        right = (classes.mean(1).argmax(1) == motions[:, 0]).float().mean()
        yield (
            step,
            {
                "where": where.item(),
                "patches": wrong[1].item(),
                "state": errors[:_STATE].mean().item(),
                "moving": errors[_STATE:].mean().item(),
                "near": errors[-2].item(),
                "motion": right.item(),
            },
        )
        if (step + 1) % 100 == 0 or step + 1 == steps:
            checkpoint.save(step + 1)


def _pixels(frames: "np.ndarray[Any, np.dtype[np.uint8]]") -> torch.Tensor:
    return torch.from_numpy(frames).movedim(-1, -3).float() / 127.5 - 1
