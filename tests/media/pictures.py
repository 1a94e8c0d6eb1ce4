"""Pictures that the media tests draw."""

import base64
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def flat(width: int, height: int, colour: tuple[int, int, int]) -> NDArray[np.uint8]:
    return np.full((height, width, 3), colour, dtype=np.uint8)


def circle(side: int) -> NDArray[np.uint8]:
    """A white disc, half as wide as the black square around it."""
    rows, columns = np.mgrid[:side, :side] + 0.5 - side / 2
    return np.where(rows**2 + columns**2 <= (side / 4) ** 2, 255, 0).astype(np.uint8)[..., None].repeat(3, axis=2)


def extent(picture: NDArray[np.uint8]) -> tuple[float, float]:
    """How wide and high the bright part of a picture is through its middle, in pixels to a fraction."""
    bright = picture[..., 1] / 255
    height, width = bright.shape
    return float(bright[height // 2].sum()), float(bright[:, width // 2].sum())


def encoded(picture: Image.Image, format: str = "PNG", **options: Any) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, format, **options)
    return base64.b64encode(buffer.getvalue()).decode()
