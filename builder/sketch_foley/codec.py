"""The codec's decoder of `sketch-foley`. Nothing of it is learnt: its weights are computed from the waves of `sounds`.

Its first activation says how loud each channel's wave is. Snake is x + sin(x)^2, which rises like a staircase and is
flat at -pi/4. Two of them, for a channel and for its negative, differ by twice the gain that is wanted. The first
transposed convolution adds the waves up, 120 samples in as many channels, and the others put these in a row.
"""

from math import pi
from typing import Any

import torch

from builder.sketch_foley.sounds import CHANNELS, HOP, WAVE, phase, waves
from videoworker.families.foley.codec import FoleyDecoder

_RATES = (8, 5, 4, 3, 2)
_WIDTH = 256  # half of it is at least the 120 samples of an eighth of a hop
_LINEAR = 1e-4  # so weak is what a snake adds with this alpha


@torch.no_grad()
def decoder() -> FoleyDecoder:
    model: FoleyDecoder = FoleyDecoder(latent_channels=CHANNELS, channels=_WIDTH, rates=_RATES)
    model.eval().requires_grad_(False)
    for name, parameter in model.named_parameters():
        parameter.fill_(_LINEAR if name.endswith("alpha") else 0.0)
    model.post_quant_conv.weight[:, :, 0] = torch.eye(CHANNELS)
    modules: Any = model.decoder["model"]
    first, *stages, _, last, _ = modules
    channels = torch.arange(CHANNELS)
    for sign, place in ((1, 2 * channels), (-1, 2 * channels + 1)):
        first.weight[place, channels, 3] = sign * phase()
        first.bias[place] = -pi / 4
    snake, adding = stages[0].block[0], stages[0].block[1]
    snake.alpha.fill_(1.0)
    samples = HOP // _RATES[0]
    halved = waves().unflatten(1, (WAVE // samples, samples)).transpose(1, 2) / (2 * pi)
    adding.weight[2 * channels, :samples] = halved
    adding.weight[2 * channels + 1, :samples] = -halved
    for stage, rate in zip(stages[1:], _RATES[1:], strict=True):
        fewer = samples // rate
        for number in range(samples):
            stage.block[1].weight[number, number % fewer, number // fewer + -(-rate // 2)] = 1.0
        samples = fewer
    last.weight[0, 0, 3] = 1.0
    return model
