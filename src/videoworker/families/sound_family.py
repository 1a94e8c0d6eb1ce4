"""What the engine asks of a family that makes sound, and how one sound is made with it.

The order is: `Sound` is made, it sees every frame of the video, and then it makes the waveform. Only one part of the
networks works at a time. `Sound` asks for each when it is needed, and holds none longer, so the engine can free the one
before.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol

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
    """What is to be heard, which the video does not say. `prompts` are the negative one and the prompt itself. If that
    is empty, the sound is made from the picture alone."""

    prompts: tuple[str, str]
    sampling: Sampling
    seed: int


class Viewer(Protocol):
    """Looks at a video while it streams."""

    def see(self, frame: Picture) -> None:
        """Takes the next frame [height, width, 3]. Raises `JobError`: the watch's."""

    def features(self) -> Sequence[Any]:
        """What was seen, after the last frame: on the CPU, some MB."""


@dataclass(frozen=True)
class SoundFamily:
    """One architecture of sound, as plain functions. Latents are [1, C, L] in float32.

    `load` reads the networks of a part. `view` makes a viewer for the extractors. `read_texts` encodes texts, and says
    how many tokens of the last did not fit. `get_noise` draws noise on the CPU. `start` prepares the loop from what was
    seen and read. `decode` yields samples [1, n] from -1 to 1 with bounded memory. Together they are at least as long
    as the video.
    """

    load: Callable[[Reader, Part], Any]
    view: Callable[[Any, Footage, Watch], Viewer]
    read_texts: Callable[[Any, Sequence[str]], tuple[torch.Tensor, int]]
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


class Sound:
    """The sound of one video. `use(part)` gives a part's networks; what it gave before is no longer used then."""

    def __init__(
        self, family: SoundFamily, use: Callable[[Part], Any], footage: Footage, wanted: Wanted, watch: Watch
    ) -> None:
        """Reads the texts. Raises `JobError`: what `use` raises, or the watch's."""
        self._family, self._use, self._footage, self._wanted, self._watch = family, use, footage, wanted, watch
        extractors = use(Part.EXTRACTORS)
        self._texts, cut = family.read_texts(extractors, wanted.prompts)
        self._viewer = family.view(extractors, footage, watch)
        if cut:
            watch.note(f"The sound model read the prompt without its last {cut} tokens, which do not fit.")

    def see(self, frame: Picture) -> None:
        """Takes the next frame [height, width, 3], which it does not keep. Raises `JobError`: the watch's."""
        self._viewer.see(frame)

    def waveform(self) -> torch.Tensor:
        """Samples [1, n] on the CPU in float32, from -1 to 1, exactly as long as the video. All its frames must have
        been seen. Raises `JobError`: the watch's, what `use` raises, or GENERATION_FAILED if numbers are not finite."""
        seen = self._viewer.features()
        del self._viewer  # it holds the extractors
        latents = self._latents(seen)
        num_samples = self._footage.num_samples(self._family.sample_rate)
        pieces = list[torch.Tensor]()
        for piece in self._family.decode(self._use(Part.DECODER), latents):
            self._watch.check()
            pieces.append(piece.float().cpu())
        return torch.cat(pieces, dim=1)[:, :num_samples]

    def _latents(self, seen: Sequence[Any]) -> torch.Tensor:
        networks = self._use(Part.TRANSFORMER)
        noise = self._family.get_noise(networks, self._footage, seeded_generator(self._wanted.seed))
        hearing = Hearing(networks, self._footage, seen, self._texts, noise, self._wanted.sampling, self._watch)
        return denoise(self._family.start(hearing), self._watch)
