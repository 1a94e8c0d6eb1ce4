"""What a model file says about a model. The engine reads these values and knows no model by name."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Component:
    """One network of a checkpoint: its folder, the dtype that it has on disk once fetched (float32 is cast to that),
    and about how many bytes its tensors then have."""

    name: str
    dtype: str
    size: int


@dataclass(frozen=True)
class Model:
    """A variant of a model as data. Lengths in pixels and frames; `folder` lies under the weights directory.

    Weights: `repository` is the hub's id (empty: not on the hub), pinned to `revision` where that is a commit;
    `pipeline` is the class that `model_index.json` names, `components` are its networks. `gated`: the hub asks for an
    account that accepted the terms. `territory` and `conditions` say what the licence restricts, if anything.

    Requests: a variant makes video from text, from an image too where it `takes_image`, and only from an image where it
    `needs_image`.

    Sizes: both sides are multiples of `grid` between `min_side` and `max_side`, the area at most `max_area`; only
    `default_width` x `default_height` where it is `fixed_size`. Clips: a multiple of `frame_step` plus one, between
    `min_frames` and `max_frames`. A longer clip is continued from the last `continued_from` frames; where that is 0, by
    the variant `continued_by`, if one is named. A model with a `fixed_schedule` was trained for one course of noise
    levels: a flow shift is refused. `runner` names the engine's sampler; None where this version has none yet.

    Memory beside the weights: `denoise_bytes` per pixel of a clip while it is denoised, `decode_bytes` per pixel of one
    frame while a clip is decoded, which is a stream. `published_step_seconds` is what others measured on one H100 for a
    step of the default clip; 0 where nobody did.
    """

    name: str
    folder: str
    repository: str
    licence: str
    pipeline: str
    components: tuple[Component, ...]
    runner: str | None
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
    denoise_bytes: float = 0.0
    decode_bytes: float = 0.0
    published_step_seconds: float = 0.0
    variant: str = ""
    revision: str | None = None
    gated: bool = False
    territory: str = ""
    conditions: str = ""
    takes_image: bool = False
    needs_image: bool = False
    fixed_size: bool = False
    continued_from: int = 0
    continued_by: str = ""
    takes_flow_shift: bool = False
    fixed_schedule: bool = False
    takes_embedded_guidance: bool = False
    needs_gpu: bool = True

    @property
    def size(self) -> int:
        """About how many bytes all networks have."""
        return sum(component.size for component in self.components)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user of the videos must know about the licence."""
        return tuple(filter(None, (self.territory, self.conditions)))

    @property
    def title(self) -> str:
        """The model's name, and the variant's where it is not the one that is meant by that."""
        return self.name if self.folder == self.name else f"{self.name} {self.variant}"

    @property
    def how_to_fetch(self) -> str:
        """What an operator does to get the weights."""
        if not self.repository:
            return f"git checkout -- weights/{self.folder}"
        option = "" if self.folder == self.name else f" --variant {self.variant}"
        return f"videoworker fetch {self.name}{option}"
