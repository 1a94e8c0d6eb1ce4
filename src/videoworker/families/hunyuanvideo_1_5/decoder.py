"""HunyuanVideo-1.5's decoder one latent frame at a time, with what each layer remembers of the frames before.

The decoder is causal, so the frames are those of its whole decode. diffusers has no such path: it masks the future of
its attention with a dense matrix, which it fills row by row (23 GiB at 720p x 121 frames). Here the future is not there
yet, so no mask is needed. The attention remembers keys and values of all frames: 15 MB per latent frame of 720p in
bfloat16. What is remembered belongs to the caller's loop, so a decode that is not finished leaves nothing in the
network.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch.nn import functional

from videoworker.sampling.carried_convolution import convolve

Memory = dict[Any, torch.Tensor]  # by layer


def stream(decoder: Any, latents: torch.Tensor) -> Iterator[torch.Tensor]:
    """Pixels [B, 3, 1, H, W] of the first latent frame of [B, C, T, h, w], then [B, 3, 4, H, W] of each further one."""
    memory: Memory = {}
    for index in range(latents.shape[2]):
        yield _decode(decoder, latents[:, :, index : index + 1], memory, first=index == 0)


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
    return _convolve(decoder.conv_out, _activate(decoder.norm_out, decoder.conv_act, states), memory)


def _convolve(layer: Any, states: torch.Tensor, memory: Memory) -> torch.Tensor:
    convolved, memory[layer] = convolve(layer, states, memory.get(layer))
    return convolved


def _residual(resnet: Any, states: torch.Tensor, memory: Memory) -> torch.Tensor:
    hidden = _convolve(resnet.conv1, _activate(resnet.norm1, resnet.nonlinearity, states), memory)
    hidden = _activate(resnet.norm2, resnet.nonlinearity, hidden)
    hidden = _convolve(resnet.conv2, hidden, memory)
    return hidden.add_(states if resnet.conv_shortcut is None else resnet.conv_shortcut(states))


def _activate(norm: Any, nonlinearity: Any, states: torch.Tensor) -> torch.Tensor:
    """Frame by frame, because the norm computes in float32. It needs one place at a time."""
    activated = torch.empty_like(states)
    for index in range(states.shape[2]):
        frame = slice(index, index + 1)
        activated[:, :, frame] = nonlinearity(norm(states[:, :, frame]))
    return activated


def _attend(attention: Any, states: torch.Tensor, memory: Memory) -> torch.Tensor:
    """One head over the places of this frame and of all before.

    Queries must be contiguous. Else the kernels fall back to one that holds the weights of all pairs of places: 1.7 GB
    in float32 at the end of 720p x 129 frames.
    """
    normed = attention.norm(states)
    query, key, value = (
        projection(normed).flatten(2).transpose(1, 2).unsqueeze(1).contiguous()  # [B, 1, h * w, C]
        for projection in (attention.to_q, attention.to_k, attention.to_v)
    )
    key_value = torch.stack([key, value])
    if attention in memory:
        key_value = torch.cat([memory[attention], key_value], dim=3)
    memory[attention] = key_value
    attended = functional.scaled_dot_product_attention(query, key_value[0], key_value[1])
    projected: torch.Tensor = attention.proj_out(attended.squeeze(1).transpose(1, 2).reshape(states.shape))
    return states + projected


def _upsample(upsampler: Any, states: torch.Tensor, memory: Memory, first: bool) -> torch.Tensor:
    """Twice the height and width. If the layer does so, twice the frames too, but not of the clip's first frame."""
    hidden, repeats = _convolve(upsampler.conv, states, memory), upsampler.repeats
    if not upsampler.add_temporal_upsample:
        return _unpack(hidden, 1).add_(_unpack(states.repeat_interleave(repeats, dim=1), 1))
    if first:
        made = _unpack(hidden, 1)
        return made[:, : made.shape[1] // 2] + _unpack(states, 1).repeat_interleave(repeats // 2, dim=1)
    return _unpack(hidden, 2).add_(_unpack(states, 2).repeat_interleave(repeats, dim=1))


def _unpack(states: torch.Tensor, time: int) -> torch.Tensor:
    """[B, time * 2 * 2 * C, t, h, w] as [B, C, time * t, 2 * h, 2 * w]."""
    batch, _, frames, height, width = states.shape
    split = states.view(batch, time, 2, 2, -1, frames, height, width).permute(0, 4, 5, 1, 6, 2, 7, 3)
    return split.reshape(batch, -1, frames * time, height * 2, width * 2)
