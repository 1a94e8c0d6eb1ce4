"""The decoder of HunyuanVideo-Foley's codec: latents [1, C, L] to samples at 48 kHz, 960 for each latent.

It is the decoder of DAC (arXiv:2306.06546) with continuous latents. Modules are called as in the published file, with
the weights' norms folded into the weights.
"""

from collections.abc import Iterator
from math import prod
from typing import Any

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import nn

# A sample depends on so many latents on either side; measured: fewer than 12 change it.
CONTEXT = 12

# So many latents are decoded at once: 4 seconds.
_AT_ONCE = 200


class FoleyDecoder(ModelMixin, ConfigMixin):  # type: ignore[misc]  # diffusers ships no types
    """`rates`: how many times finer the time becomes in each stage. Their product is the number of samples of a
    latent."""

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self, latent_channels: int = 128, channels: int = 2048, rates: tuple[int, ...] = (8, 5, 4, 3, 2)
    ) -> None:
        super().__init__()
        self.post_quant_conv = nn.Conv1d(latent_channels, latent_channels, 1)
        stages = [_Stage(channels // 2**index, rate) for index, rate in enumerate(rates)]
        last = channels // 2 ** len(rates)
        self.decoder = nn.ModuleDict(
            {
                "model": nn.Sequential(
                    nn.Conv1d(latent_channels, channels, 7, padding=3),
                    *stages,
                    _Snake(last),
                    nn.Conv1d(last, 1, 7, padding=3),
                    nn.Tanh(),
                )
            }
        )
        self.samples_per_latent = prod(rates)

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        """Samples [1, 1, L * samples_per_latent] from -1 to 1."""
        samples: torch.Tensor = self.decoder["model"](self.post_quant_conv(latents))
        return samples


def decode(decoder: Any, latents: torch.Tensor, at_once: int = _AT_ONCE) -> Iterator[torch.Tensor]:
    """The samples of latents [1, C, L] in pieces [1, n], as the whole decode would make them. Memory holds what
    `at_once` latents need, whatever L is."""
    count = latents.shape[2]
    for start in range(0, count, at_once):
        end = min(start + at_once, count)
        before = min(CONTEXT, start)
        samples = decoder(latents[:, :, start - before : end + CONTEXT])[:, 0]
        first = before * decoder.samples_per_latent
        yield samples[:, first : first + (end - start) * decoder.samples_per_latent]


class _Snake(nn.Module):
    """x + sin(alpha x)^2 / alpha (arXiv:2006.08195)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(1, channels, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + (self.alpha * x).sin().square() / (self.alpha + 1e-9)


class _Residual(nn.Module):
    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.block = nn.Sequential(
            _Snake(channels),
            nn.Conv1d(channels, channels, 7, padding=3 * dilation, dilation=dilation),
            _Snake(channels),
            nn.Conv1d(channels, channels, 1),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.block(x)  # type: ignore[no-any-return]


class _Stage(nn.Module):
    """Half the channels, `rate` times the samples."""

    def __init__(self, channels: int, rate: int) -> None:
        super().__init__()
        finer = nn.ConvTranspose1d(
            channels,
            channels // 2,
            2 * rate,
            stride=rate,
            padding=-(-rate // 2),
            output_padding=rate % 2,
        )
        residuals = (_Residual(channels // 2, dilation) for dilation in (1, 3, 9))
        self.block = nn.Sequential(_Snake(channels), finer, *residuals)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        finer: torch.Tensor = self.block(x)
        return finer
