"""LTX-Video's decoder as a stream: frames go in and come out piece by piece, as the whole decode would make them.

The decoder is not causal: a convolution needs the frame after the one that it makes. So each convolution keeps the last
frames of its input, and its output comes one frame late. What is added to the output waits as long. This is exact, and
memory holds a few frames per layer beside the pieces, whatever the clip's length.

Pieces are [1, C, t, h, w] with any t. Each says whether it is the clip's last one, so that no layer has to send its
last frame alone through all layers behind it. The layers are those of diffusers' `LTXVideoDecoder3d`. Their order in
time is ours. So are the passes over memory: norms and activations write to where the convolution reads.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.nn import functional

from videoworker.sampling.carried_convolution import Write, copied
from videoworker.sampling.length_norm import squared_length

Pieces = Iterator[tuple[torch.Tensor, bool]]


def decode(
    decoder: Any, latents: Sequence[torch.Tensor], timestep: float, generator: torch.Generator
) -> Iterator[torch.Tensor]:
    """Pixels [1, 3, t, height, width] of the pieces of a clip's latents. `timestep` says how much noise is left in
    them, for decoders that are conditioned on it. Some decoders add noise between layers, which they draw from
    `generator`."""
    weight = decoder.conv_in.conv.weight
    level = torch.tensor([timestep], device=weight.device, dtype=weight.dtype)
    if decoder.timestep_scale_multiplier is not None:
        level = level * decoder.timestep_scale_multiplier
    pieces = _convolved(decoder.conv_in, ((piece, piece is latents[-1]) for piece in latents))
    for block in (decoder.mid_block, *decoder.up_blocks):
        if getattr(block, "conv_in", None) is not None:
            pieces = _residual(block.conv_in, pieces, None, generator)
        for upsampler in getattr(block, "upsamplers", None) or ():
            pieces = _upsampled(upsampler, pieces)
        modulation = _embedded(block.time_embedder, level, weight.dtype)
        for layer in block.resnets:
            pieces = _residual(layer, pieces, modulation, generator)
    modulation = _embedded(decoder.time_embedder, level, weight.dtype)
    for piece, _ in _convolved(decoder.conv_out, pieces, _finished(decoder, modulation)):
        yield _unpatched(piece, (decoder.patch_size_t, decoder.patch_size, decoder.patch_size), width_first=True)


def _convolved(convolution: Any, pieces: Pieces, write: Write = copied) -> Pieces:
    """The convolution of what `write` makes of the pieces. The first frame is repeated before the clip. Unless the
    convolution is causal, the last one is repeated too. What is left at the clip's end comes in pieces that are no
    larger than those before."""
    around = convolution.kernel_size[0] - 1
    ahead, largest = 0 if convolution.is_causal else around // 2, 0
    kept: torch.Tensor | None = None
    for piece, is_last in pieces:
        before = around - ahead if kept is None else kept.shape[2]
        end = before + piece.shape[2]
        window = piece.new_empty((*piece.shape[:2], end + ahead * is_last, *piece.shape[3:]))
        new = window[:, :, before:end]
        write(piece, new)
        window[:, :, :before] = new[:, :, :1] if kept is None else kept
        window[:, :, end:] = new[:, :, -1:]
        if not is_last:
            kept = window[:, :, max(end - around, 0) :].clone()
        largest, made = max(largest, piece.shape[2]), window.shape[2] - around
        for start in range(0, made, largest):
            part = window[:, :, start : start + largest + around]
            yield convolution.conv(part), is_last and start + largest >= made


def _residual(layer: Any, pieces: Pieces, modulation: torch.Tensor | None, generator: torch.Generator) -> Pieces:
    """A residual block: its input, plus two normed convolutions of it."""
    before, between = [], []  # a shift and a scale for each convolution's input, if conditioned on noise
    if modulation is not None:
        table = layer.scale_shift_table[None, ..., None, None, None]
        *before, shift, scale = (modulation.reshape(1, 4, -1, 1, 1, 1) + table).unbind(dim=1)
        between = [shift, scale]
    waiting = list[torch.Tensor]()
    first = _convolved(layer.conv1, _noted(pieces, waiting), _activated(layer.norm1, *before))
    first = _with_noise(first, layer.per_channel_scale1, generator)
    second = _convolved(layer.conv2, first, _activated(layer.norm2, *between))
    for piece, is_last in _with_noise(second, layer.per_channel_scale2, generator):
        start = 0
        for beside in _taken(waiting, piece.shape[2]):
            if layer.conv_shortcut is not None:  # its kernel is one frame and one pixel, so it needs no neighbours
                beside = layer.conv_shortcut(layer.norm3(beside.movedim(1, -1)).movedim(-1, 1))
            piece[:, :, start : start + beside.shape[2]].add_(beside)
            start += beside.shape[2]
        yield piece, is_last


def _upsampled(upsampler: Any, pieces: Pieces) -> Pieces:
    """Channels become neighbours in time and space. The frames before the clip's first one are dropped."""
    stride, waiting = upsampler.stride, list[torch.Tensor]()
    dropped = stride[0] - 1
    for convolved, is_last in _convolved(upsampler.conv, _noted(pieces, waiting) if upsampler.residual else pieces):
        piece = _unpatched(convolved, stride)
        if upsampler.residual:
            copies, start = stride[0] * stride[1] * stride[2] // upsampler.upscale_factor, 0
            for taken in _taken(waiting, convolved.shape[2]):
                beside = _unpatched(taken, stride)
                place = piece[:, :, start : start + beside.shape[2]]
                place.unflatten(1, (copies, -1)).add_(beside.unsqueeze(1))
                start += beside.shape[2]
        yield piece[:, :, dropped:], is_last
        dropped = 0


def _with_noise(pieces: Pieces, scale: torch.Tensor | None, generator: torch.Generator) -> Pieces:
    """Adds the same picture of noise to every frame, scaled by channel, if the layer was trained so."""
    noise: torch.Tensor | None = None
    for piece, is_last in pieces:
        if scale is not None:
            if noise is None:
                noise = torch.randn(piece.shape[3:], generator=generator).to(piece)
            piece.add_((noise * scale)[None, :, None])
        yield piece, is_last


def _finished(decoder: Any, modulation: torch.Tensor | None) -> Write:
    """Writes the input of the last convolution."""
    shift_and_scale = []
    if modulation is not None:
        table = decoder.scale_shift_table[None, ..., None, None, None]
        shift_and_scale = (modulation.reshape(1, 2, -1, 1, 1, 1) + table).unbind(dim=1)
    return _activated(decoder.norm_out, *shift_and_scale)


def _activated(norm: Any, shift: torch.Tensor | None = None, scale: torch.Tensor | None = None) -> Write:
    """Writes frames that are normed over their channels, scaled and shifted, and activated (SiLU). The norm has no
    weights."""

    def write(frames: torch.Tensor, place: torch.Tensor) -> None:
        factor = squared_length(frames).div_(frames.shape[1]).add_(norm.eps).rsqrt_()
        torch.mul(frames, factor, out=place)
        if shift is not None and scale is not None:
            place.mul_(1 + scale).add_(shift)
        functional.silu(place, inplace=True)

    return write


def _embedded(embedder: Any, level: torch.Tensor, dtype: torch.dtype) -> torch.Tensor | None:
    """The noise level as channels [1, C, 1, 1, 1]; None if the block is not conditioned on it."""
    if embedder is None:
        return None
    embedded: torch.Tensor = embedder(
        timestep=level, resolution=None, aspect_ratio=None, batch_size=1, hidden_dtype=dtype
    )
    return embedded.view(1, -1, 1, 1, 1)


def _noted(pieces: Pieces, waiting: list[torch.Tensor]) -> Pieces:
    """The pieces, which wait from then on."""
    for piece, is_last in pieces:
        waiting.append(piece)
        yield piece, is_last


def _taken(waiting: list[torch.Tensor], count: int) -> Iterator[torch.Tensor]:
    """Takes the first `count` frames out of `waiting`. The others stay there."""
    while count:
        part = waiting.pop(0)
        if part.shape[2] > count:
            waiting.insert(0, part[:, :, count:].clone())
            part = part[:, :, :count]
        count -= part.shape[2]
        yield part


def _unpatched(piece: torch.Tensor, sizes: tuple[int, int, int], width_first: bool = False) -> torch.Tensor:
    """[1, C * a * b * c, t, h, w] as [1, C, t * a, h * b, w * c]. If `width_first`, c stands before b among the
    channels."""
    split = piece.reshape(1, -1, *sizes, *piece.shape[2:])  # [1, C, a, b, c, t, h, w]
    if width_first:
        split = split.transpose(3, 4)
    return split.permute(0, 1, 5, 2, 6, 3, 7, 4).flatten(6, 7).flatten(4, 5).flatten(2, 3)
