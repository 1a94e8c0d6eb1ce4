"""What a model file says about a model. The engine reads these values and knows no model by name."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Model:
    """A model as data. Lengths in pixels and frames; `folder` lies under the weights directory.

    Sizes: both sides are multiples of `grid` between `min_side` and `max_side`, the area at most `max_area`. Clips: a
    multiple of `frame_step` plus one, between `min_frames` and `max_frames`. A longer clip is continued from the last
    `continued_from` frames (0: the model takes no image and cannot continue). `runner` names the engine's sampler; None
    where this version has none yet.
    """

    name: str
    folder: str
    repository: str
    licence: str
    runner: Literal["cogvideox"] | None
    grid: int
    max_area: int
    min_side: int
    max_side: int
    frame_step: int
    min_frames: int
    max_frames: int
    default_width: int
    default_height: int
    default_frames: int
    fps: int
    default_steps: int
    default_guidance_scale: float
    takes_image: bool = False
    continued_from: int = 0
    takes_flow_shift: bool = False
    takes_embedded_guidance: bool = False
    needs_gpu: bool = True
    notes: tuple[str, ...] = ()

    @property
    def how_to_fetch(self) -> str:
        """What an operator does to get the weights."""
        return f"hf download {self.repository} --local-dir weights/{self.folder}"
