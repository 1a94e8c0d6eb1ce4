"""The geometry of a clip's pictures: the size that the model makes, the box of it that is kept, and the file's size."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

Picture = NDArray[np.uint8]  # [height, width, 3], RGB
Frames = NDArray[np.uint8]  # [n, height, width, 3], RGB


@dataclass(frozen=True)
class Canvas:
    """The file has pictures of `width` x `height`. The model makes native ones of `native_width` x `native_height`.

    Of a native picture the box of `crop_width` x `crop_height` at `left`, `top` is kept. It is scaled if the file has
    another size. All are in pixels.
    """

    width: int
    height: int
    native_width: int
    native_height: int
    left: int
    top: int
    crop_width: int
    crop_height: int

    @classmethod
    def whole(cls, width: int, height: int) -> Self:
        """A canvas that keeps native pictures whole, at their size."""
        return cls(width, height, width, height, 0, 0, width, height)

    @classmethod
    def centred(cls, size: tuple[int, int], native: tuple[int, int], crop: tuple[int, int]) -> Self:
        """For a file of `size`: keeps the middle `crop` of a `native` picture. Each is a width and a height."""
        return cls(*size, *native, (native[0] - crop[0]) // 2, (native[1] - crop[1]) // 2, *crop)

    @property
    def native_pixels(self) -> int:
        """Those of one native picture."""
        return self.native_width * self.native_height

    def crop(self, frame: Picture) -> Picture:
        """The box of a native frame [native_height, native_width, 3] that is kept, as a view."""
        return frame[self.top : self.top + self.crop_height, self.left : self.left + self.crop_width]

    def fill(self, picture: Picture) -> Picture:
        """A native frame with `picture` [h, w, 3] in the box that is kept.

        The picture is scaled until it covers the box. What sticks out is cut off evenly on both sides. Outside the box
        its edges are repeated.
        """
        fitted = ImageOps.fit(
            Image.fromarray(picture), (self.crop_width, self.crop_height), method=Image.Resampling.LANCZOS
        )
        right = self.native_width - self.left - self.crop_width
        bottom = self.native_height - self.top - self.crop_height
        return np.pad(np.asarray(fitted), ((self.top, bottom), (self.left, right), (0, 0)), mode="edge")

    def has_aspect_of(self, picture: Picture) -> bool:
        """Whether `fill` loses nothing of a picture [h, w, 3]."""
        height, width = picture.shape[:2]
        return bool(width * self.height == height * self.width)


def scaled(frames: Frames, canvas: Canvas) -> Frames:
    """Native frames of the canvas, of frames [n, h, w, 3] of another size. Those of this size are given back."""
    size = canvas.native_width, canvas.native_height
    if (frames.shape[2], frames.shape[1]) == size:
        return frames
    return np.stack([np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.LANCZOS)) for frame in frames])
