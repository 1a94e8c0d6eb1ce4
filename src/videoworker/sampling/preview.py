"""A small picture of latents: what emerges, without the autoencoder.

An autoencoder's latents are small pictures themselves. A linear map of their channels shows them in about the right
colours, in no time and without memory.
"""

import base64
import io

import torch
from PIL import Image

from videoworker.models.video_model import Rgb

_LONGEST_SIDE = 160  # pixels: a JPEG of some 4 kB, which goes along with each report


def preview(latents: torch.Tensor, rgb: Rgb) -> str | None:
    """The middle one of latents [1, T, C, h, w], as the data URI of a JPEG. Waits for the device. None if the map is of
    another number of channels: an operator's own checkpoint may have an autoencoder of its own."""
    *channels, constant = torch.tensor(rgb)
    if len(channels) != latents.shape[2]:
        return None
    frame = latents[0, latents.shape[1] // 2].float().cpu()
    pixels = torch.einsum("chw,cr->hwr", frame, torch.stack(channels)) + constant
    picture = Image.fromarray(((pixels.clamp(-1, 1) + 1) * 127.5).to(torch.uint8).numpy())
    picture.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE))
    file = io.BytesIO()
    picture.save(file, "JPEG")
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"
