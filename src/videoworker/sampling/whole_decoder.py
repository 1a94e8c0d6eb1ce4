"""The decoder of diffusers' AutoencoderKLHunyuanVideo, over all frames that it is given: of a whole picture, or of
tiles that fade into each other.

Norms look at all frames and places at once, so a clip cannot be decoded piece by piece in time. What can be done so is:
convolutions take a few frames at a time, and attention a frame. diffusers' own pads a copy of all frames, and makes a
table of all pairs of tokens. At 129 frames of 256x256 pixels a layer has more numbers than 32 bits count, which not
every kernel takes at once.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional

from videoworker.sampling.carried_convolution import activated, convolve_whole

# Kernels count in 32 bits. What has more numbers is normed some groups of channels at a time, at least one.
_NUMBERS_AT_ONCE = 2**31 - 1
_BYTES_OF_SOME_GROUPS = 2**29


def is_tiled(vae: Any, latents: torch.Tensor) -> bool:
    """Whether the picture of latents [1, C, T, h, w] is larger than a tile of the autoencoder."""
    return max(latents.shape[-2:]) > _side(vae)


def _side(vae: Any) -> int:
    """Of a tile of latents."""
    side: int = vae.tile_sample_min_height // vae.spatial_compression_ratio
    return side


def decode_tiled(vae: Any, latents: torch.Tensor, report: Callable[[int, int], None]) -> torch.Tensor:
    """Pixels [1, 3, n, height, width] of latents [1, C, T, h, w], as the autoencoder scales them.

    `report(done, all)` is called after each tile. Tiles fade into each other as the autoencoder's own do.
    """
    *_, height, width = latents.shape
    ratio, side = vae.spatial_compression_ratio, _side(vae)
    stride = vae.tile_sample_stride_height // ratio if is_tiled(vae, latents) else side
    fade, kept = (side - stride) * ratio, stride * ratio
    tops, lefts = range(0, height, stride), range(0, width, stride)
    rows, above = list[torch.Tensor](), list[torch.Tensor]()
    for top in tops:
        row = list[torch.Tensor]()
        for left in lefts:
            tile = decode_whole(vae, latents[..., top : top + side, left : left + side])
            if above:
                _fade(above[len(row)], tile, -2, fade)
            if row:
                _fade(row[-1], tile, -1, fade)
            row.append(tile)
            report(len(rows) * len(lefts) + len(row), len(tops) * len(lefts))
        rows.append(torch.cat([tile[..., :kept, :kept] for tile in row], dim=-1))
        above = row
    return torch.cat(rows, dim=-2)


def _fade(before: torch.Tensor, tile: torch.Tensor, dim: int, length: int) -> None:
    """The tile begins as the one before it ends, and becomes itself over `length` pixels."""
    length = min(length, before.shape[dim], tile.shape[dim])
    end, begin = before.narrow(dim, before.shape[dim] - length, length), tile.narrow(dim, 0, length)
    share = (torch.arange(length, device=tile.device) / length).to(tile.dtype).view(-1, *[1] * (-1 - dim))
    begin.copy_(end.lerp(begin, share))


def decode_whole(vae: Any, latents: torch.Tensor) -> torch.Tensor:
    """Pixels [1, 3, n, height, width] of latents [1, C, T, h, w], as the autoencoder scales them: all at once."""
    decoder = vae.decoder
    states = convolve_whole(decoder.conv_in, vae.post_quant_conv(latents))
    first, *others = decoder.mid_block.resnets
    states = _residual(first, states)
    for attention, block in zip(decoder.mid_block.attentions, others, strict=True):
        states = _residual(block, _attended(attention, states))
    for up_block in decoder.up_blocks:
        for block in up_block.resnets:
            states = _residual(block, states)
        for upsampler in up_block.upsamplers or ():
            states = convolve_whole(upsampler.conv, _enlarged(states, upsampler.upsample_factor))
    return _normed_and_convolved(decoder.conv_norm_out, decoder.conv_out, states)


def _residual(block: Any, states: torch.Tensor) -> torch.Tensor:
    made = _normed_and_convolved(block.norm1, block.conv1, states)
    made = _normed_and_convolved(block.norm2, block.conv2, made)
    return made.add_(states if block.conv_shortcut is None else convolve_whole(block.conv_shortcut, states))


def _normed_and_convolved(norm: Any, convolution: Any, states: torch.Tensor) -> torch.Tensor:
    """Between the two it is activated."""
    return convolve_whole(convolution, _normed(norm, states), activated)


def _normed(norm: Any, states: torch.Tensor) -> torch.Tensor:
    """All at once if 32 bits count its numbers, else some groups of channels at a time."""
    if states.numel() <= _NUMBERS_AT_ONCE:
        normed: torch.Tensor = norm(states)
        return normed
    width = norm.num_channels // norm.num_groups
    size = width * max(_BYTES_OF_SOME_GROUPS * norm.num_groups // states.nbytes, 1)
    made = torch.empty_like(states)
    weights = zip(norm.weight.split(size), norm.bias.split(size), strict=True)
    for part, target, (weight, bias) in zip(states.split(size, 1), made.split(size, 1), weights, strict=True):
        target.copy_(functional.group_norm(part, part.shape[1] // width, weight, bias, norm.eps))
    return made


def _enlarged(states: torch.Tensor, factors: tuple[int, int, int]) -> torch.Tensor:
    """Each number is repeated in time, height and width. The first frame stays one frame."""
    batch, channels, count, height, width = states.shape
    longer, taller, wider = factors
    made = states.new_empty((batch, channels, 1 + (count - 1) * longer, height * taller, width * wider))
    for frames, place, times in ((states[:, :, :1], made[:, :, :1], 1), (states[:, :, 1:], made[:, :, 1:], longer)):
        split = place.unflatten(2, (-1, times)).unflatten(4, (-1, taller)).unflatten(6, (-1, wider))
        split.copy_(frames[:, :, :, None, :, None, :, None])
    return made


def _attended(attention: Any, states: torch.Tensor) -> torch.Tensor:
    """Each frame sees itself and those before it."""
    shape, area = states.shape, states.shape[-2] * states.shape[-1]
    tokens = attention.group_norm(states.flatten(2)).transpose(1, 2)  # [1, T * h * w, C]
    query, key, value = (
        projection(tokens).unflatten(2, (attention.heads, -1)).transpose(1, 2)
        for projection in (attention.to_q, attention.to_k, attention.to_v)
    )
    frames = [
        functional.scaled_dot_product_attention(
            query[:, :, start : start + area], key[:, :, : start + area], value[:, :, : start + area]
        )
        for start in range(0, tokens.shape[1], area)
    ]
    made: torch.Tensor = attention.to_out[0](torch.cat(frames, dim=2).transpose(1, 2).flatten(2))
    return states + made.transpose(1, 2).view(shape)
