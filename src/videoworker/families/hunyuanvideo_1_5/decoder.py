"""HunyuanVideo-1.5's decoder a few latent frames at a time, with what each layer remembers of the frames before.

The decoder is causal, so the frames are those of its whole decode. diffusers has no such path: it masks the future of
its attention with a dense matrix, which it fills row by row (23 GiB at 720p x 121 frames). Here each frame asks only
for itself and those before it, so no mask is needed. The attention remembers keys and values of all frames: 15 MB per
latent frame of 720p in bfloat16. What is remembered belongs to the caller's loop, so a decode that is not finished
leaves nothing in the network.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch.nn import functional

from videoworker.sampling.carried_convolution import Write, convolve, copied
from videoworker.sampling.length_norm import normed_and_activated

Memory = dict[Any, torch.Tensor]  # by layer


def stream(decoder: Any, latents: torch.Tensor, at_once: int = 1) -> Iterator[torch.Tensor]:
    """Pixels [B, 3, n, H, W] of the latents [B, C, T, h, w], `at_once` of them at a time. The first latent frame
    stands for one frame, each further one for four."""
    memory: Memory = {}
    for index, piece in enumerate(latents.split(at_once, dim=2)):
        yield _decode(decoder, piece, memory, first=index == 0)


def _decode(decoder: Any, latents: torch.Tensor, memory: Memory, first: bool) -> torch.Tensor:
    states = _convolve(decoder.conv_in, latents, memory) + latents.repeat_interleave(decoder.repeat, dim=1)
    middle = decoder.mid_block
    states = _residual(middle.resnets[0], states, memory)
    for attention, resnet in zip(middle.attentions, middle.resnets[1:], strict=True):
        states = _residual(resnet, _attend(attention, states, memory), memory)
    for block in decoder.up_blocks:
        for resnet in block.resnets:
            states = _residual(resnet, states, memory)
        for upsampler in block.upsamplers or ():
            states = _upsample(upsampler, states, memory, first)
    return _convolve(decoder.conv_out, states, memory, normed_and_activated(decoder.norm_out))


def _convolve(layer: Any, states: torch.Tensor, memory: Memory, write: Write = copied) -> torch.Tensor:
    convolved, memory[layer] = convolve(layer, states, memory.get(layer), write)
    return convolved


def _residual(resnet: Any, states: torch.Tensor, memory: Memory) -> torch.Tensor:
    hidden = _convolve(resnet.conv1, states, memory, normed_and_activated(resnet.norm1))
    hidden = _convolve(resnet.conv2, hidden, memory, normed_and_activated(resnet.norm2))
    return hidden.add_(states if resnet.conv_shortcut is None else resnet.conv_shortcut(states))


def _attend(attention: Any, states: torch.Tensor, memory: Memory) -> torch.Tensor:
    """One head. Each frame's places see those of this frame and of all before.

    Queries must be contiguous. Else the kernels fall back to one that holds the weights of all pairs of places: 1.7 GB
    in float32 at the end of 720p x 129 frames.
    """
    area, normed = states.shape[-2] * states.shape[-1], attention.norm(states)
    query, key, value = (
        projection(normed).flatten(2).transpose(1, 2).unsqueeze(1).contiguous()  # [B, 1, t * h * w, C]
        for projection in (attention.to_q, attention.to_k, attention.to_v)
    )
    key_value = torch.stack([key, value])
    if attention in memory:
        key_value = torch.cat([memory[attention], key_value], dim=3)
    memory[attention] = key_value
    before = key_value.shape[3] - query.shape[2]
    attended = torch.cat(
        [
            functional.scaled_dot_product_attention(asking, *key_value[:, :, :, : before + (index + 1) * area])
            for index, asking in enumerate(query.split(area, dim=2))
        ],
        dim=2,
    )
    projected: torch.Tensor = attention.proj_out(attended.squeeze(1).transpose(1, 2).reshape(states.shape))
    return states + projected


def _upsample(upsampler: Any, states: torch.Tensor, memory: Memory, first: bool) -> torch.Tensor:
    """Twice the height and width. If the layer does so, twice the frames too, but not of the clip's first frame."""
    hidden, time = _convolve(upsampler.conv, states, memory), 2 if upsampler.add_temporal_upsample else 1
    batch, channels, frames, height, width = hidden.shape
    alone = 1 if first and time > 1 else 0
    made_frames = alone + (frames - alone) * time
    made = hidden.new_empty((batch, channels // time // 4, made_frames, height * 2, width * 2))
    if alone:
        _unpack(hidden[:, :, :1], states[:, :, :1], made[:, :, :1], 1)
    _unpack(hidden[:, :, alone:], states[:, :, alone:], made[:, :, alone:], time)
    return made


def _unpack(hidden: torch.Tensor, states: torch.Tensor, place: torch.Tensor, time: int) -> None:
    """Writes neighbouring channels of `hidden` beside each other in time and space: [B, time * 2 * 2 * C, t, h, w] as
    [B, C, time * t, 2 * h, 2 * w]. Adds `states` likewise; there, each channel stands for some of the made ones.

    If the place has fewer channels than that, the others are left out.
    """
    channels = place.shape[1]
    split = place.unflatten(2, (-1, time)).unflatten(4, (-1, 2)).unflatten(6, (-1, 2))  # [B, C, t, time, h, 2, w, 2]
    split.copy_(_beside(hidden, time)[:, :channels])
    added = _beside(states, time)
    split.unflatten(1, (added.shape[1], -1)).add_(added.unsqueeze(2))


def _beside(states: torch.Tensor, time: int) -> torch.Tensor:
    """[B, time * 2 * 2 * C, t, h, w] as [B, C, t, time, h, 2, w, 2], without a copy."""
    beside: torch.Tensor = states.unflatten(1, (time, 2, 2, -1)).permute(0, 4, 5, 1, 6, 2, 7, 3)
    return beside
