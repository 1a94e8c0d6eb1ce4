"""What the autoencoder of `sketch` keeps of drawn scenes, without the transformer."""

import math
import random
from dataclasses import dataclass

import numpy as np
import torch

from builder.sketch.measure import overlap
from builder.sketch.networks import NUM_FRAMES
from builder.sketch.scenes import Scene, all_combinations, draw_centred_scene, is_held_out, render
from videoworker.canvas import Frames
from videoworker.families.cogvideox.family import Networks, decode, encode_frames
from videoworker.sampling.pixels import to_frames
from videoworker.watch import Watch


@dataclass(frozen=True)
class Kept:
    """`psnr` is in dB, over all pixels of all scenes; `overlap` is their mean (`builder.sketch.measure.overlap`)."""

    psnr: float
    overlap: float


def drawn(scene: Scene, side: int) -> Frames:
    """The scene's first 25 frames in a square picture: RGB uint8 [25, side, side, 3]."""
    return to_frames(render(scene, side, side, NUM_FRAMES).unsqueeze(0))


def roundtrip(networks: Networks, frames: Frames) -> Frames:
    """The frames, encoded and decoded as the worker does it."""
    watch = Watch("roundtrip", lambda _: None, math.inf)
    pieces = decode(networks, encode_frames(networks, frames), torch.Generator(), watch)
    return np.concatenate([to_frames(piece) for piece in pieces])


def kept(networks: Networks, shape: str, count: int, seed: int) -> Kept:
    """Measures `count` held-out scenes of `shape` at 256x256."""
    rng = random.Random(f"roundtrip/{seed}/{shape}")
    held_out = [c for c in all_combinations() if is_held_out(c) and c[0] == shape]
    errors, overlaps = [], []
    for combination in rng.sample(held_out, count):
        frames = drawn(draw_centred_scene(rng, combination, 1.0), 256)
        back = roundtrip(networks, frames)
        errors.append(np.square(back.astype(np.float32) - frames).mean())
        overlaps.append(overlap(back, shape))
    return Kept(10 * math.log10(255**2 / float(np.mean(errors))), float(np.mean(overlaps)))
