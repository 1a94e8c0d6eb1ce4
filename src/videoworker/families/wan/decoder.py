"""Wan's decoder a few latent frames at a time, with what each convolution remembers of the frames before.

Every layer is causal in time, so the frames are those of the whole decode. diffusers' own takes one latent frame at a
time too. It copies frames to put others before them, once more to put a border around them, and again to norm and to
enlarge them. What is remembered belongs to the caller's loop: a decode that is given up leaves nothing in the network.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl_wan import unpatchify
from torch.nn import functional

from videoworker.sampling.carried_convolution import Write, convolve, convolve_whole, copied
from videoworker.sampling.length_norm import normed_and_activated

Memory = dict[Any, torch.Tensor]  # by layer


def decode(vae: Any, latents: torch.Tensor, at_once: int) -> Iterator[torch.Tensor]:
    """Pixels [1, 3, n, height, width] from -1 to 1 of the latents [1, C, T, h, w], `at_once` of them at a time. The
    first latent frame stands for one frame, each further one for four."""
    memory: Memory = {}
    for index, piece in enumerate(_alone(vae.post_quant_conv, latents).split(at_once, dim=2)):
        pixels = _decode(vae.decoder, piece, memory, first=index == 0)
        yield unpatchify(pixels, vae.config.patch_size or 1).clamp(-1, 1)


def _decode(decoder: Any, latents: torch.Tensor, memory: Memory, first: bool) -> torch.Tensor:
    states = _convolved(decoder.conv_in, latents, memory)
    middle = decoder.mid_block
    states = _residual(middle.resnets[0], states, memory)
    for attention, block in zip(middle.attentions, middle.resnets[1:], strict=True):
        seen = torch.cat([attention(frame) for frame in states.split(1, dim=2)], dim=2)  # each sees itself alone
        states = _residual(block, seen, memory)
    for block in decoder.up_blocks[:-1]:
        states = _through_up_block(block, states, memory, first)
    # At the full size, as many frames at a time as there are latents: they take most of the memory.
    return torch.cat([_finish(decoder, few, memory) for few in states.split(latents.shape[2], dim=2)], dim=2)


def _finish(decoder: Any, states: torch.Tensor, memory: Memory) -> torch.Tensor:
    """The last block enlarges nothing."""
    states = _through_up_block(decoder.up_blocks[-1], states, memory, first=False)
    return _convolved(decoder.conv_out, states, memory, normed_and_activated(decoder.norm_out))


def _through_up_block(block: Any, states: torch.Tensor, memory: Memory, first: bool) -> torch.Tensor:
    """Wan 2.2's autoencoder adds what came into the block to what leaves it."""
    shortcut, inputs = getattr(block, "avg_shortcut", None), states
    for residual in block.resnets:
        states = _residual(residual, states, memory)
    for upsampler in getattr(block, "upsamplers", None) or [getattr(block, "upsampler", None)]:
        if upsampler is not None:
            states = _upsampled(upsampler, states, memory, first)
    return states if shortcut is None else states.add_(shortcut(inputs, first_chunk=first))


@dataclass(frozen=True)
class _Causal:
    """A convolution of diffusers', as `convolve` takes it. There is black before the clip and around its pictures."""

    layer: Any
    pad_mode = "constant"

    @property
    def time_causal_padding(self) -> tuple[int, ...]:
        padding: tuple[int, ...] = self.layer._padding
        return padding

    def conv(self, frames: torch.Tensor) -> torch.Tensor:
        width, _, height, *_ = self.layer._padding
        return functional.conv3d(frames, self.layer.weight, self.layer.bias, padding=(0, height, width))


def _convolved(layer: Any, states: torch.Tensor, memory: Memory, write: Write = copied) -> torch.Tensor:
    before = memory.get(layer)
    if before is None:
        before = states.new_zeros((*states.shape[:2], layer.kernel_size[0] - 1, *states.shape[3:]))
    convolved, memory[layer] = convolve(_Causal(layer), states, before, write)
    return convolved


def _alone(layer: Any, states: torch.Tensor) -> torch.Tensor:
    """A convolution whose kernel is one frame, so it needs no others."""
    return convolve_whole(_Causal(layer), states)


def _residual(block: Any, states: torch.Tensor, memory: Memory) -> torch.Tensor:
    made = _convolved(block.conv1, states, memory, normed_and_activated(block.norm1))
    made = _convolved(block.conv2, made, memory, normed_and_activated(block.norm2))
    return made.add_(states if block.in_dim == block.out_dim else _alone(block.conv_shortcut, states))


def _upsampled(upsampler: Any, states: torch.Tensor, memory: Memory, first: bool) -> torch.Tensor:
    """Twice the height and width. If the layer does so, twice the frames too, but not of the clip's first frame."""
    _, convolution = upsampler.resample
    _, channels, count, height, width = states.shape
    alone = int(first) if upsampler.mode == "upsample3d" else count
    frames = list(states[0, :, :alone].unbind(1))
    if alone < count:
        doubled = _convolved(upsampler.time_conv, states[:, :, alone:], memory)[0].unflatten(0, (2, -1))
        frames += doubled.permute(2, 0, 1, 3, 4).flatten(0, 1)  # channels become neighbours in time
    made = states.new_empty((1, convolution.out_channels, len(frames), 2 * height, 2 * width))
    enlarged = states.new_empty((1, channels, 2 * height, 2 * width))
    for index, frame in enumerate(frames):
        _enlarge(frame[None], enlarged)
        made[:, :, index] = convolution(enlarged)
    return made


def _enlarge(frames: torch.Tensor, place: torch.Tensor) -> None:
    """Each number of frames [t, C, h, w] is repeated in height and width."""
    place.unflatten(2, (-1, 2)).unflatten(4, (-1, 2)).copy_(frames[:, :, :, None, :, None])
