"""What a file of `models` declares of a sound model: one value per variant. It makes the sound of a video that is
there, or that another model makes."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from videoworker.models.checkpoint import Checkpoint, Component, Role


class Part(StrEnum):
    """The networks of a sound model that work at the same time. They work in this order, and a part needs none of the
    networks before it."""

    EXTRACTORS = "extractors"
    TRANSFORMER = "transformer"
    DECODER = "decoder"


_PART_OF_ROLE = {
    Role.TEXT_ENCODER: Part.EXTRACTORS,
    Role.IMAGE_ENCODER: Part.EXTRACTORS,
    Role.VIDEO_ENCODER: Part.EXTRACTORS,
    Role.DENOISER: Part.TRANSFORMER,
    Role.AUTOENCODER: Part.DECODER,
}


@dataclass(frozen=True)
class SoundModel:
    """One variant of a sound model.

    `family` is the package in `videoworker.families` that runs it. `rank` orders the models: the installed one with the
    least rank makes the sound. If a model is `made_for` some video models alone, it makes the sound of their videos
    before any other, and of no other videos. They are called by their names.

    `max_seconds` is the longest sound. Samples are at `sample_rate` Hz, one channel. `default_negative_prompt` holds if
    a request has none.

    Memory beside the weights: `extract_bytes`, `denoise_bytes` and `decode_bytes`, of the part that works. They are for
    any length: a longer sound is made in windows, a longer picture read in batches.
    """

    checkpoint: Checkpoint
    family: str
    rank: int
    sample_rate: int
    max_seconds: int
    default_steps: int
    default_guidance_scale: float
    default_negative_prompt: str
    extract_bytes: int
    denoise_bytes: int
    decode_bytes: int
    needs_gpu: bool = True
    made_for: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The name that a caller uses. All variants of a model share it."""
        return self.checkpoint.model

    @property
    def variant(self) -> str:
        """The variant's name; empty if the model has one alone."""
        return self.checkpoint.variant

    def suits(self, video_model: str) -> bool:
        """Whether it makes the sound of this model's videos."""
        return not self.made_for or video_model in self.made_for

    @property
    def reservations(self) -> tuple[str, ...]:
        """What a caller must know of the sound of a clip of the caller's own."""
        return (f"{self.name} is made for the videos of {', '.join(self.made_for)} alone.",) if self.made_for else ()

    def components(self, part: Part) -> tuple[Component, ...]:
        """The networks of a part."""
        return tuple(one for one in self.checkpoint.components if _PART_OF_ROLE[one.role] is part)

    def bytes_by_part(self, sizes: Mapping[str, int]) -> dict[Part, int]:
        """From bytes by component."""
        return {part: sum(sizes[component.name] for component in self.components(part)) for part in Part}

    def activation_bytes(self, part: Part) -> int:
        """What a part needs beside its weights."""
        bytes_of = {
            Part.EXTRACTORS: self.extract_bytes,
            Part.TRANSFORMER: self.denoise_bytes,
            Part.DECODER: self.decode_bytes,
        }
        return bytes_of[part]
