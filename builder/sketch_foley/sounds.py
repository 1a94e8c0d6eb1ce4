"""The sounds of `sketch-foley`, and how its latents write them down.

A score says for every 20 ms how high and how loud the tone is, and where something hits the ground. Every partial of a
tone has a whole number of waves in 20 ms. So all phases follow from the clock, and a sound is a sum of few fixed waves,
each as loud as one channel of the latents says. Pitches are steps of such tones, like a natural trumpet's.
"""

from dataclasses import dataclass
from math import pi

import numpy as np
import torch

RATE = 48_000
HOP = 960  # samples of a latent
NUM_PITCHES = 11  # odd, so that the middle of a picture is the middle of a pitch
MIDDLE = NUM_PITCHES // 2

# A latent's waves begin half a hop before it, and end half a hop after it.
WAVE = 2 * HOP
_FULL = 4.0  # what a channel has if its wave is as loud as it gets
_LOUDEST = 0.4
_FAINTEST = 0.003  # of the loudest: what is fainter is left out
_ATTACK, _TICK = 0.001, 0.004  # seconds: in which a hit begins, and in which its hard first sound decays
_TICK_SHARE = 0.7
_GROUPS, _GROUP, _LOWEST_GROUP = 12, 9, 50  # noise: bands of so many multiples of 50 Hz, from this one on
_NOISE_WIDTH = 0.9  # groups


@dataclass(frozen=True)
class Timbre:
    """Frequencies are multiples of 50 Hz. The lowest tone has `lowest`, each next one `step` more. `partials` are pairs
    of a ratio to that and a strength; a tone without any is noise. A hit decays by 1/e in `decay` seconds."""

    decay: float
    partials: tuple[tuple[float, float], ...] = ()
    lowest: int = 0
    step: int = 0


TIMBRES = {
    "bell": Timbre(0.25, ((1, 1.0), (1.2, 0.4), (2, 0.4)), lowest=32, step=2),
    "wood": Timbre(0.05, ((1, 1.0), (3, 0.3)), lowest=14, step=1),
    "hum": Timbre(0.12, ((1, 1.0), (2, 0.6), (3, 0.4), (4, 0.2)), lowest=2, step=1),
    "noise": Timbre(0.06),
}
_TONAL = [name for name, timbre in TIMBRES.items() if timbre.partials]

# The channels: each tone of each timbre, two waves of each group of noise, the first moment of each timbre's hit.
_FIRST_GROUP = len(_TONAL) * NUM_PITCHES
_FIRST_HIT = _FIRST_GROUP + 2 * _GROUPS
CHANNELS = _FIRST_HIT + len(TIMBRES)
HITS = slice(_FIRST_HIT, CHANNELS)


@dataclass(frozen=True)
class Score:
    """`pitches` [n] are numbers of pitches, `levels` [n] loudness from 0 to 1, one for each hop. `hits` are the hops
    with which a hit begins."""

    pitches: torch.Tensor
    levels: torch.Tensor
    hits: tuple[int, ...] = ()


def latents(score: Score, timbre: str, generator: torch.Generator) -> torch.Tensor:
    """[CHANNELS, n] of the score. Noise is drawn from the generator."""
    count = len(score.levels)
    loudness, pitches = score.levels.clone(), score.pitches.clone()
    strikes = torch.zeros(len(TIMBRES), count)
    for hit in score.hits:
        strikes[list(TIMBRES).index(timbre), hit] = 1
        after = torch.arange(1, count - hit)
        loudness[hit] = 0
        loudness[hit + 1 :] = _ringing(timbre, after)
        pitches[hit:] = MIDDLE
    loudness *= loudness > _FAINTEST
    gains = torch.zeros(CHANNELS, count)
    gains[_FIRST_HIT:] = strikes
    if timbre in _TONAL:
        gains[_TONAL.index(timbre) * NUM_PITCHES + pitches, torch.arange(count)] = loudness
    else:
        drawn = torch.randn(_GROUPS, 2, count, generator=generator).clamp(-2, 2) / 2
        gains[_FIRST_GROUP:_FIRST_HIT] = (drawn * (_bands(pitches) * loudness)[:, None]).flatten(0, 1)
    return _FULL * _position(gains)


def waves() -> torch.Tensor:
    """What each channel sounds like at its loudest [CHANNELS, WAVE], from half a hop before its latent on."""
    clock = torch.arange(WAVE) - HOP // 2
    fade = 1 - (clock - HOP // 2).abs() / HOP
    tones = [fade * _tone(TIMBRES[name], pitch, clock) for name in _TONAL for pitch in range(NUM_PITCHES)]
    # Noise has as much power everywhere if it fades by a cosine.
    noises = [(fade * pi / 2).sin() * wave for group in range(_GROUPS) for wave in _rustle(group, clock)]
    hits = [_hit(name, clock) for name in TIMBRES]
    return _LOUDEST * torch.stack([*tones, *noises, *hits])


def gain(channel: torch.Tensor) -> torch.Tensor:
    """How loud its wave is for the number that a channel has, 1 at the loudest. Near 0 and near the loudest it hardly
    depends on the number. So what is a little wrong is still silent, or still as loud."""
    part = channel / _FULL
    return part - (2 * pi * part).sin() / (2 * pi)


def phase() -> float:
    """By how much the angle within `gain`'s sine is turned, halved, by a channel of 1."""
    return pi / _FULL


def _position(gains: torch.Tensor) -> torch.Tensor:
    """The inverse of `gain`, over `_FULL`."""
    table = np.linspace(-2, 2, 8001)
    known = gain(torch.from_numpy(table) * _FULL).numpy()
    return torch.from_numpy(np.interp(gains.numpy(), known, table)).float()


def _ringing(timbre: str, hops: torch.Tensor) -> torch.Tensor:
    """How loud a hit still is in the middle of so many hops after it."""
    return torch.exp(-(hops + 0.5) * HOP / RATE / TIMBRES[timbre].decay)


def _bands(pitches: torch.Tensor) -> torch.Tensor:
    """How loud each group of noise is [groups, n]."""
    groups = torch.arange(_GROUPS)[:, None]
    centres = 1 + pitches * (_GROUPS - 3) / (NUM_PITCHES - 1)
    return torch.exp(-(((groups - centres) / _NOISE_WIDTH) ** 2) / 2)


def _tone(timbre: Timbre, pitch: int, clock: torch.Tensor) -> torch.Tensor:
    base = timbre.lowest + pitch * timbre.step
    total = sum(strength for _, strength in timbre.partials)
    parts = [strength * torch.sin(round(ratio * base) * clock / HOP * 2 * pi) for ratio, strength in timbre.partials]
    return torch.stack(parts).sum(0) / total


def _rustle(group: int, clock: torch.Tensor) -> list[torch.Tensor]:
    """Two waves of a group's frequencies, with phases that were drawn once."""
    numbers = _LOWEST_GROUP + group * _GROUP + torch.arange(_GROUP)
    phases = torch.rand(_GROUP, generator=torch.Generator().manual_seed(group)) * 2 * pi
    angles = numbers[:, None] * clock / HOP * 2 * pi + phases[:, None]
    return [wave.sum(0) / _GROUP**0.5 for wave in (angles.cos(), angles.sin())]


def _hit(name: str, clock: torch.Tensor) -> torch.Tensor:
    """What is heard of a hit before its tone or noise rings on alone, from the beginning of the hop."""
    timbre, seconds = TIMBRES[name], clock.clamp(min=0) / RATE
    begun = (clock >= 0) * (1 - torch.exp(-seconds / _ATTACK))
    later = _ringing(name, torch.tensor(1.0)) * (1 - (clock - 3 * HOP // 2).abs() / HOP).clamp(min=0)
    drawn = torch.randn(WAVE, generator=torch.Generator().manual_seed(0))
    if timbre.partials:
        ring = _tone(timbre, MIDDLE, clock)
    else:
        ring = torch.stack([torch.stack(_rustle(group, clock)).sum(0) for group in (4, 5, 6, 7)]).mean(0)
    tick = _TICK_SHARE * torch.nn.functional.avg_pool1d(drawn[None], 5, 1, 2)[0] * torch.exp(-seconds / _TICK)
    return begun * (ring * (torch.exp(-seconds / timbre.decay) - later) + tick)
