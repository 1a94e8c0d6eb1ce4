"""What the engine asks of a family's sampler. A family is a module of plain functions, and one constant, with these
names and types."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from videoworker.models.plan import Sampling
from videoworker.watch import Watch


class Runner(Protocol):
    """`networks` is what `load` gave, `conditioning` what `encode_prompt` gave; only the family looks inside. Pictures
    and frames are RGB uint8 [.., height, width, 3]; latents belong to the family, batch first, then time."""

    # Whether `encode_prompt` looks at the picture; where not, its answer holds for every picture.
    DESCRIBES_IMAGE: bool

    def load(self, folder: Path, device: torch.device, dtype: torch.dtype) -> Any:
        """Reads a checkpoint in diffusers layout; safetensors only."""

    def encode_prompt(self, networks: Any, prompts: list[str], image: np.ndarray | None) -> tuple[Any, int]:
        """The conditioning of [prompt], or of [negative prompt, prompt] under classifier-free guidance, and how many
        tokens of the prompt did not fit. `image` is the clip's first frame for families that describe it,
        read-only, and None for others. The engine keeps the answer for later jobs: nothing may change it."""

    def get_noise(
        self, networks: Any, num_frames: int, width: int, height: int, generator: torch.Generator
    ) -> torch.Tensor:
        """Noise in float32, drawn on the CPU so that a seed means the same on every device."""

    def encode_frames(self, networks: Any, frames: np.ndarray) -> torch.Tensor:
        """The scaled latents of a clip's first frames [n, height, width, 3]."""

    def denoise(
        self,
        networks: Any,
        noise: torch.Tensor,
        conditioning: Any,
        given: torch.Tensor | None,
        sampling: Sampling,
        watch: Watch,
        part: tuple[int, int],
        generator: torch.Generator,
    ) -> torch.Tensor:
        """Finite latents from noise; `given` are the clip's first latents where it continues from known frames. Calls
        `watch.step` after every step. `generator`, the one that drew the noise, gives what a scheduler adds on its way.
        Raises `JobError`."""

    def decode(
        self,
        networks: Any,
        latents: torch.Tensor,
        watch: Watch,
        part: tuple[int, int],
        generator: torch.Generator,
    ) -> Iterator[np.ndarray]:
        """The frames of `latents`, one by one, with bounded memory. `generator` gives what a decoder adds."""
