"""What the engine asks of a family."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import torch

from videoworker.canvas import Frames, Picture
from videoworker.models.piece import Piece
from videoworker.sampling.denoise import Inputs, Start
from videoworker.sampling.latent_space import Shape
from videoworker.sampling.reader import Reader
from videoworker.watch import Watch


class AnyNetworks(Protocol):
    """What every family's loaded checkpoint has, beside its networks."""

    @property
    def device(self) -> torch.device:
        """The device that the networks compute on."""


Networks = TypeVar("Networks", bound=AnyNetworks)
Conditioning = TypeVar("Conditioning")


@dataclass(frozen=True)
class Family(Generic[Networks, Conditioning]):
    """One architecture, as plain functions.

    `Networks` is a frozen dataclass with a field for each network, called as the checkpoint's component. `Conditioning`
    is one encoded prompt. Latents between the functions are [1, T, C, h, w] in float32.

    `load` reads a checkpoint. Raises `JobError` MODEL_NOT_LOADED if its files do not fit together.

    `encode_prompts` gives the conditioning of each prompt, and how many tokens of the last did not fit. If the family
    `describes_image`, the picture is the clip's first frame, read-only. Else it is None. The engine keeps the result
    for later jobs, so nothing may change it.

    `get_noise` draws noise on the CPU. `encode_frames` gives the latents of a clip's first frames; None for families
    that take none. `start` prepares the loop. What its steps ask the denoiser for is the family's own: the
    conditioning, or more than that.

    `enlarge` prepares the loop of super-resolution: its noise and known latents are of the larger size, and the third
    argument are the clip's latents of the smaller one. None for families that have none.

    `decode` yields pixels [1, 3, n, height, width] from -1 to 1, piece by piece. It takes no more at once than the
    given piece has, or than it always takes. It reports each piece before it yields it. Decoders that add noise draw it
    from the generator.
    """

    load: Callable[[Reader], Networks]
    encode_prompts: Callable[[Networks, Sequence[str], Picture | None], tuple[tuple[Conditioning, ...], int]]
    get_noise: Callable[[Networks, Shape, torch.Generator], torch.Tensor]
    encode_frames: Callable[[Networks, Frames], torch.Tensor] | None
    start: Callable[[Networks, Inputs[Conditioning]], Start[Any]]
    decode: Callable[[Networks, torch.Tensor, torch.Generator, Watch, Piece], Iterator[torch.Tensor]]
    enlarge: Callable[[Networks, Inputs[Conditioning], torch.Tensor], Start[Any]] | None = None
    describes_image: bool = False
