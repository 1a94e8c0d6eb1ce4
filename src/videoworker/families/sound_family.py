"""What the engine asks of a family that makes sound, and how one sound is made with it.

The order is: a viewer is made, it sees every frame of the video, and then `waveform` makes the sound. Only one part of
the networks works at a time. Each is asked for when it is needed, and held no longer, so the engine can free the one
before.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, BinaryIO, Protocol

import torch

from videoworker.canvas import Picture
from videoworker.models.sampling import Sampling
from videoworker.models.sound_model import Part
from videoworker.sampling.denoise import Start, denoise
from videoworker.sampling.reader import Reader
from videoworker.sampling.seeds import seeded_generator
from videoworker.watch import Watch


@dataclass(frozen=True)
class Footage:
    """The video that is to be heard."""

    num_frames: int
    fps: Fraction

    @property
    def seconds(self) -> Fraction:
        return self.num_frames / self.fps

    def num_samples(self, rate: int) -> int:
        """Of a sound as long as the video, `rate` samples a second."""
        return round(self.seconds * rate)


@dataclass(frozen=True)
class Wanted:
    """What is to be heard: the sound of `footage`. `prompts` are the negative one and the prompt itself. If that is
    empty, the sound is made from the picture alone."""

    footage: Footage
    prompts: tuple[str, str]
    sampling: Sampling
    seed: int


class Viewer(Protocol):
    """Looks at a video while it streams, before any network of the sound model is there."""

    def see(self, frame: Picture) -> None:
        """Takes the next frame [height, width, 3], which is not kept as it is."""


@dataclass(frozen=True)
class SoundFamily:
    """One architecture of sound, as plain functions. Latents are [1, C, L] in float32.

    `view` makes a viewer, which may keep in the file what it has seen. `load` reads the networks of a part.
    `read_texts` encodes texts, and says how many tokens of the last did not fit. `extract` encodes what a viewer has
    seen: on the CPU, some MB. `get_noise` draws noise on the CPU. `start` prepares the loop. `decode` yields samples
    [1, n] from -1 to 1 with bounded memory. Together they are at least as long as the video.
    """

    view: Callable[[Reader, Footage, BinaryIO], Viewer]
    load: Callable[[Reader, Part], Any]
    read_texts: Callable[[Any, Sequence[str]], tuple[torch.Tensor, int]]
    extract: Callable[[Any, Any, Watch], Sequence[Any]]
    get_noise: Callable[[Any, Footage, torch.Generator], torch.Tensor]
    start: Callable[["Hearing"], Start[int]]
    decode: Callable[[Any, torch.Tensor], Iterator[torch.Tensor]]
    sample_rate: int


@dataclass(frozen=True)
class Hearing:
    """What `start` makes a sound from: the transformer's networks, what the extractors gave, and the noise."""

    networks: Any
    footage: Footage
    seen: Sequence[Any]
    texts: torch.Tensor
    noise: torch.Tensor
    sampling: Sampling
    watch: Watch


def waveform(
    family: SoundFamily, use: Callable[[Part], Any], viewer: Viewer, wanted: Wanted, watch: Watch
) -> torch.Tensor:
    """Samples [1, n] on the CPU in float32, from -1 to 1, exactly as long as the video. `viewer` has seen all its
    frames. `use(part)` gives a part's networks; what it gave before is no longer used then.

    Raises `JobError`: the watch's, what `use` raises, or GENERATION_FAILED if numbers are not finite.
    """
    texts, seen = _features(family, use(Part.EXTRACTORS), viewer, wanted, watch)
    latents = _latents(family, use(Part.TRANSFORMER), (texts, seen), wanted, watch)
    samples = torch.empty(1, wanted.footage.num_samples(family.sample_rate))
    done = 0
    for piece in family.decode(use(Part.DECODER), latents):
        watch.check()
        kept = piece[:, : samples.shape[1] - done]
        samples[:, done : done + kept.shape[1]] = kept
        done += kept.shape[1]
    return samples[:, :done]


def _features(
    family: SoundFamily, extractors: Any, viewer: Viewer, wanted: Wanted, watch: Watch
) -> tuple[torch.Tensor, Sequence[Any]]:
    texts, cut = family.read_texts(extractors, wanted.prompts)
    if cut:
        watch.note(f"The sound model read the prompt without its last {cut} tokens, which do not fit.")
    return texts, family.extract(extractors, viewer, watch)


def _latents(
    family: SoundFamily, networks: Any, features: tuple[torch.Tensor, Sequence[Any]], wanted: Wanted, watch: Watch
) -> torch.Tensor:
    texts, seen = features
    noise = family.get_noise(networks, wanted.footage, seeded_generator(wanted.seed))
    hearing = Hearing(networks, wanted.footage, seen, texts, noise, wanted.sampling, watch)
    return denoise(family.start(hearing), watch)
