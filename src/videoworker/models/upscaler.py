"""What a file of `models` declares of super-resolution: the weights that bring a variant's clips to a larger size."""

from dataclasses import dataclass

from videoworker.models.checkpoint import Checkpoint


@dataclass(frozen=True)
class Upscaler:
    """It takes a clip's latents after they are denoised, and denoises larger ones beside them: in `steps`, with
    `flow_shift`, for the prompt alone. Both sides of the larger pictures are multiples of `grid` pixels, and their area
    is at most `max_area`. The networks run together with those of the variant, so they are loaded with them."""

    checkpoint: Checkpoint
    grid: int
    max_area: int
    steps: int
    flow_shift: float

    @property
    def name(self) -> str:
        """Of the model whose clips it takes."""
        return self.checkpoint.model
