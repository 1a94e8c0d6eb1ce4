"""LTX-Video's decoder as a stream: frames go in and come out piece by piece, as the whole decode would make them.

The decoder is not causal: a convolution needs the frame after the one that it makes. So each convolution keeps the last
frames of its input, and its output comes one frame late. What is added to the output waits as long. This is exact, and
memory holds a few frames per layer, whatever the clip's length.

Pieces are [1, C, t, h, w] with any t. The layers are those of diffusers' `LTXVideoDecoder3d`. Only their order in time
is ours.
"""

from collections.abc import Iterator
from typing import Any

import torch

Pieces = Iterator[torch.Tensor]


def decode(decoder: Any, latents: Pieces, timestep: float, generator: torch.Generator) -> Pieces:
    """Pixels [1, 3, t, height, width] of a clip's latents. `timestep` says how much noise is left in them, for decoders
    that are conditioned on it. Some decoders add noise between layers, which they draw from `generator`."""
    weight = decoder.conv_in.conv.weight
    level = torch.tensor([timestep], device=weight.device, dtype=weight.dtype)
    if decoder.timestep_scale_multiplier is not None:
        level = level * decoder.timestep_scale_multiplier
    pieces = _convolved(decoder.conv_in, latents)
    for block in (decoder.mid_block, *decoder.up_blocks):
        if getattr(block, "conv_in", None) is not None:
            pieces = _residual(block.conv_in, pieces, None, generator)
        for upsampler in getattr(block, "upsamplers", None) or ():
            pieces = _upsampled(upsampler, pieces)
        modulation = _embedded(block.time_embedder, level, weight.dtype)
        for layer in block.resnets:
            pieces = _residual(layer, pieces, modulation, generator)
    modulation = _embedded(decoder.time_embedder, level, weight.dtype)
    for piece in _convolved(decoder.conv_out, (_finished(decoder, piece, modulation) for piece in pieces)):
        yield _unpatched(piece, (decoder.patch_size_t, decoder.patch_size, decoder.patch_size), width_first=True)


def _convolved(convolution: Any, pieces: Pieces) -> Pieces:
    """The first frame is repeated before the clip. Unless the convolution is causal, the last one is repeated too."""
    around = convolution.kernel_size[0] - 1
    ahead = 0 if convolution.is_causal else around // 2
    kept: torch.Tensor | None = None
    for piece in pieces:
        if kept is None:
            kept = piece[:, :, :1].expand(-1, -1, around - ahead, -1, -1)
        joined = torch.cat([kept, piece], dim=2)
        kept = joined[:, :, joined.shape[2] - around :] if joined.shape[2] > around else joined
        if joined.shape[2] > around:
            yield convolution.conv(joined)
    if kept is not None and ahead:
        yield convolution.conv(torch.cat([kept, kept[:, :, -1:].expand(-1, -1, ahead, -1, -1)], dim=2))


def _residual(layer: Any, pieces: Pieces, modulation: torch.Tensor | None, generator: torch.Generator) -> Pieces:
    """A residual block: its input, plus two normed convolutions of it."""
    before, between = [], []  # a shift and a scale for each convolution's input, if conditioned on noise
    if modulation is not None:
        table = layer.scale_shift_table[None, ..., None, None, None]
        *before, shift, scale = (modulation.reshape(1, 4, -1, 1, 1, 1) + table).unbind(dim=1)
        between = [shift, scale]
    waiting: list[torch.Tensor] = []

    def normed_input() -> Pieces:
        for piece in pieces:
            waiting.append(piece)
            yield layer.nonlinearity(_modulated(_normed(layer.norm1, piece), *before))

    first = _with_noise(_convolved(layer.conv1, normed_input()), layer.per_channel_scale1, generator)
    inner = (layer.nonlinearity(_modulated(_normed(layer.norm2, piece), *between)) for piece in first)
    for piece in _with_noise(_convolved(layer.conv2, inner), layer.per_channel_scale2, generator):
        beside = _taken(waiting, piece.shape[2])
        if layer.conv_shortcut is not None:  # its kernel is one frame and one pixel, so it needs no neighbours
            beside = layer.conv_shortcut(_normed(layer.norm3, beside))
        yield piece + beside


def _upsampled(upsampler: Any, pieces: Pieces) -> Pieces:
    """Channels become neighbours in time and space. The frames before the clip's first one are dropped."""
    stride, waiting = upsampler.stride, list[torch.Tensor]()
    dropped = stride[0] - 1

    def passing() -> Pieces:
        for piece in pieces:
            waiting.append(piece)
            yield piece

    for convolved in _convolved(upsampler.conv, passing()):
        piece = _unpatched(convolved, stride)
        if upsampler.residual:
            copies = stride[0] * stride[1] * stride[2] // upsampler.upscale_factor
            piece = piece + _unpatched(_taken(waiting, convolved.shape[2]), stride).repeat(1, copies, 1, 1, 1)
        else:
            waiting.clear()
        yield piece[:, :, dropped:]
        dropped = 0


def _with_noise(pieces: Pieces, scale: torch.Tensor | None, generator: torch.Generator) -> Pieces:
    """Adds the same picture of noise to every frame, scaled by channel, if the layer was trained so."""
    noise: torch.Tensor | None = None
    for piece in pieces:
        if scale is not None:
            if noise is None:
                noise = torch.randn(piece.shape[3:], generator=generator).to(piece)
            piece = piece + (noise * scale)[None, :, None]
        yield piece


def _finished(decoder: Any, piece: torch.Tensor, modulation: torch.Tensor | None) -> torch.Tensor:
    """The input of the last convolution."""
    shift_and_scale = []
    if modulation is not None:
        table = decoder.scale_shift_table[None, ..., None, None, None]
        shift_and_scale = (modulation.reshape(1, 2, -1, 1, 1, 1) + table).unbind(dim=1)
    activated: torch.Tensor = decoder.conv_act(_modulated(_normed(decoder.norm_out, piece), *shift_and_scale))
    return activated


def _modulated(
    piece: torch.Tensor, shift: torch.Tensor | None = None, scale: torch.Tensor | None = None
) -> torch.Tensor:
    return piece if shift is None or scale is None else piece * (1 + scale) + shift


def _embedded(embedder: Any, level: torch.Tensor, dtype: torch.dtype) -> torch.Tensor | None:
    """The noise level as channels [1, C, 1, 1, 1]; None if the block is not conditioned on it."""
    if embedder is None:
        return None
    embedded: torch.Tensor = embedder(
        timestep=level, resolution=None, aspect_ratio=None, batch_size=1, hidden_dtype=dtype
    )
    return embedded.view(1, -1, 1, 1, 1)


def _normed(norm: Any, piece: torch.Tensor) -> torch.Tensor:
    """Normed over channels, which the norm takes last."""
    normed: torch.Tensor = norm(piece.movedim(1, -1)).movedim(-1, 1)
    return normed


def _taken(waiting: list[torch.Tensor], count: int) -> torch.Tensor:
    """Takes the first `count` frames out of `waiting`. The others stay there."""
    joined = torch.cat(waiting, dim=2)
    waiting[:] = [joined[:, :, count:]]
    return joined[:, :, :count]


def _unpatched(piece: torch.Tensor, sizes: tuple[int, int, int], width_first: bool = False) -> torch.Tensor:
    """[1, C * a * b * c, t, h, w] as [1, C, t * a, h * b, w * c]. If `width_first`, c stands before b among the
    channels."""
    split = piece.reshape(1, -1, *sizes, *piece.shape[2:])  # [1, C, a, b, c, t, h, w]
    if width_first:
        split = split.transpose(3, 4)
    return split.permute(0, 1, 5, 2, 6, 3, 7, 4).flatten(6, 7).flatten(4, 5).flatten(2, 3)
