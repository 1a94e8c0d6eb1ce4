"""How a clip is denoised, as numbers: what a plan says to a family and to the loop."""

from dataclasses import dataclass
from enum import Enum

from videoworker.effort import Effort


class Call(Enum):
    """What a step computes: a prediction for each of its prompts, one for the prompt itself, or none."""

    ALL = "all"
    PROMPT = "prompt"
    NONE = "none"


# `fast`. The first steps decide what is seen, and the last one's prediction is the clip itself, so they are computed:
# a fifth of the steps, and no fewer than four. Of those between, every other one is skipped. The rest computes in turn
# both predictions and that of the prompt alone. `python -m bench.tiers` measures what that changes.
_FIRST_SHARE, _LEAST_FIRST = 0.2, 4
CACHED_TENSORS = 4  # of the latents' size, that are kept between steps: two steps', and the distances of two prompts
_GROUP = (Call.NONE, Call.ALL, Call.NONE, Call.PROMPT)


@dataclass(frozen=True)
class Sampling:
    """If a value is None, the one in the checkpoint's own files holds. `fps` is for families that take the time between
    two frames as an input; None: as in the videos that they were trained on. `low_noise_guidance_scale` is for a second
    denoiser, which makes the steps of low noise; None: it has the same scale as the first. `effort` says what is
    computed of each step."""

    steps: int
    guidance_scale: float
    embedded_guidance_scale: float | None = None
    flow_shift: float | None = None
    fps: int | None = None
    low_noise_guidance_scale: float | None = None
    effort: Effort = "full"

    @property
    def calls(self) -> tuple[Call, ...]:
        """Of each step."""
        if self.effort != "fast":
            return (Call.ALL,) * self.steps
        first = max(round(_FIRST_SHARE * self.steps), _LEAST_FIRST)
        between = tuple(_GROUP[index % len(_GROUP)] for index in range(self.steps - first - 1))
        return ((Call.ALL,) * first + between + (Call.PROMPT,))[: self.steps]

    @property
    def cached_tensors(self) -> int:
        """How many of the latents' size are kept between steps, at most."""
        return CACHED_TENSORS if self.effort == "fast" else 0

    @property
    def predictions(self) -> int:
        """How many the denoiser computes. With guidance there are two prompts."""
        of_all = 2 if self.guidance_scale > 1 else 1
        return sum({Call.ALL: of_all, Call.PROMPT: 1, Call.NONE: 0}[call] for call in self.calls)
