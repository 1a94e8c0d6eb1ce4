"""What a model's autoencoder is given to encode."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.modules.module import register_module_forward_pre_hook

Picture = NDArray[np.floating[Any]]


@contextmanager
def pictures_shown(to: type[torch.nn.Module]) -> Iterator[list[Picture]]:
    """The first frames that encoders of this class are shown during the block: [height, width, 3], 0 to 255."""
    shown: list[Picture] = []

    def note(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        if isinstance(module, to):
            shown.append(((inputs[0][0, :, 0].float() + 1) * 127.5).permute(1, 2, 0).cpu().numpy())

    handle = register_module_forward_pre_hook(note)
    try:
        yield shown
    finally:
        handle.remove()
