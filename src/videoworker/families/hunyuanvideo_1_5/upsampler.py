"""The networks that bring latents nearer to those of a larger clip, after they were stretched to its size.

There are two, one for each size: `SRTo720pUpsampler` and `SRTo1080pUpsampler` in
hyvideo/models/transformers/modules/upsample.py (Tencent-Hunyuan/HunyuanVideo-1.5 at 60783e7). Neither changes the size.
Their layers are those of the autoencoder: convolutions that see no later frame. They run in float32, as
`HunyuanVideo_1_5_SR_Pipeline` in hyvideo/pipelines/hunyuan_video_sr_pipeline.py runs them. A clip is taken whole: at
1080p x 121 frames each tensor of the widest layers has 0.5 GB.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl_hunyuanvideo15 import (
    HunyuanVideo15CausalConv3d,
    HunyuanVideo15ResnetBlock,
    HunyuanVideo15RMS_norm,
)
from torch import nn
from torch.nn import functional

from videoworker.sampling.reader import Reader, Tensors

_LEVEL = re.compile(r"up\.(\d+)\.block\.(\d+)\.")


def read_upsampler(reader: Reader, name: str) -> nn.Module:
    """The one that the folder's configuration is of. Raises `RuntimeError` if a tensor is missing, or is not the
    network's."""
    kind = Upsampler720p if "hidden_channels" in reader.config(name) else Upsampler1080p
    network: nn.Module = reader.published_network(kind, name, kind.configuration, _renamed)
    return network


class Upsampler720p(nn.Module):
    """Blocks of three convolutions each, all of the same width."""

    def __init__(self, channels: int, hidden_channels: int, num_blocks: int, global_residual: bool) -> None:
        super().__init__()
        self.global_residual = global_residual
        self.in_conv = HunyuanVideo15CausalConv3d(channels, hidden_channels)
        self.blocks = nn.ModuleList(_Block(hidden_channels) for _ in range(num_blocks))
        self.out_conv = HunyuanVideo15CausalConv3d(hidden_channels, channels)

    @staticmethod
    def configuration(published: Mapping[str, Any], _: Tensors) -> dict[str, Any]:
        """This class's, from the published one."""
        names = ("hidden_channels", "num_blocks", "global_residual")
        return {"channels": published["in_channels"]} | {name: published[name] for name in names}

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        """[B, C, T, h, w] of [B, C, T, h, w]."""
        states = self.in_conv(latents)
        for block in self.blocks:
            states = block(states)
        made: torch.Tensor = self.out_conv(states)
        return made + latents if self.global_residual else made


class _Block(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        first, second, third = (HunyuanVideo15CausalConv3d(channels, channels) for _ in range(3))
        self.block = nn.Sequential(first, nn.SiLU(), second, nn.SiLU(), third)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        changed: torch.Tensor = self.block(states)
        return states + changed


class Upsampler1080p(nn.Module):
    """Levels of residual blocks, each level of its own width. Before them each channel of the latents is repeated until
    there are as many as the first level has."""

    def __init__(self, channels: int, block_out_channels: Sequence[int], num_res_blocks: int) -> None:
        super().__init__()
        first, last = block_out_channels[0], block_out_channels[-1]
        self.repeats = first // channels
        self.conv_in = HunyuanVideo15CausalConv3d(channels, first)
        widths = [width for width in block_out_channels for _ in range(num_res_blocks + 1)]
        self.blocks = nn.ModuleList(HunyuanVideo15ResnetBlock(*pair) for pair in pairwise((first, *widths)))
        self.norm_out = HunyuanVideo15RMS_norm(last, images=False)
        self.conv_out = HunyuanVideo15CausalConv3d(last, channels)

    @staticmethod
    def configuration(published: Mapping[str, Any], _: Tensors) -> dict[str, Any]:
        """This class's, from the published one."""
        names = ("block_out_channels", "num_res_blocks")
        return {"channels": published["z_channels"]} | {name: published[name] for name in names}

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        """[B, C, T, h, w] of [B, C, T, h, w]."""
        states = self.conv_in(latents) + latents.repeat_interleave(self.repeats, dim=1)
        for block in self.blocks:
            states = block(states)
        made: torch.Tensor = self.conv_out(functional.silu(self.norm_out(states)))
        return made


def _renamed(published: Tensors) -> Tensors:
    """Of the larger one. All blocks stand in one list here, and a projection is called as diffusers calls it."""
    levels = sorted({(int(match[1]), int(match[2])) for name in published if (match := _LEVEL.match(name))})
    number = {f"up.{level}.block.{block}.": f"blocks.{index}." for index, (level, block) in enumerate(levels)}
    return {
        _LEVEL.sub(lambda match: number[match[0]], name).replace(".nin_shortcut.", ".conv_shortcut."): tensor
        for name, tensor in published.items()
    }
