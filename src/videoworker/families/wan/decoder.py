"""Wan's decoder as a stream: latents go in and frames come out one by one, as the whole decode would make them.

Every layer is causal in time, so that each can take its input frame by frame: memory holds one frame between two
blocks, where diffusers' own decoder holds all four of a latent. What a convolution remembers, the two frames before,
belongs to the caller's loop: a decode that is given up leaves nothing in the network.
"""

from collections.abc import Iterator
from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl_wan import WanCausalConv3d, unpatchify

Frames = Iterator[torch.Tensor]  # each [1, C, 1, h, w]

_FRAMES_BEFORE = 2  # that a convolution over three frames follows


def decode(vae: Any, latents: torch.Tensor) -> Frames:
    """Pixels [1, 3, 1, height, width] from -1 to 1 of latents [1, C, T, h, w], as the autoencoder scales them: of the
    first latent one frame, of every other four."""
    decoder = vae.decoder
    frames: Frames = iter(vae.post_quant_conv(latents).split(1, dim=2))
    frames = _convolved(decoder.conv_in, frames)
    frames = _through_mid_block(decoder.mid_block, frames)
    for block in decoder.up_blocks:
        frames = _through_up_block(block, frames)
    activated = (decoder.nonlinearity(decoder.norm_out(frame)) for frame in frames)
    for frame in _convolved(decoder.conv_out, activated):
        yield unpatchify(frame, vae.config.patch_size or 1).clamp(-1, 1)


def _convolved(convolution: Any, frames: Frames) -> Frames:
    before: torch.Tensor | None = None
    for frame in frames:
        yield convolution(frame, before)
        seen = frame if before is None else torch.cat([before, frame], dim=2)
        before = seen[:, :, -_FRAMES_BEFORE:]


def _through_mid_block(block: Any, frames: Frames) -> Frames:
    before = _nothing_before(block)
    for frame in frames:
        yield block(frame, feat_cache=before, feat_idx=[0])


def _through_up_block(block: Any, frames: Frames) -> Frames:
    """Of a block that doubles the frames, two for every one but the first."""
    before = _nothing_before(block)
    for index, frame in enumerate(frames):
        yield from block(frame, feat_cache=before, feat_idx=[0], first_chunk=index == 0).split(1, dim=2)


def _nothing_before(block: Any) -> list[Any]:
    """A place for what each convolution of a block remembers; the block fills it."""
    return [None] * sum(isinstance(module, WanCausalConv3d) for module in block.modules())
